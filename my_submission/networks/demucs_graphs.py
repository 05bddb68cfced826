"""Demucs v2 as small ONNX graphs, one a level, built straight from the tensors of a checkpoint; without torch.

One graph of the whole network would need its widest activations whole and all of its weights at once; level by level,
a caller works in tiles, runs several segments through the LSTM together and drops what it no longer needs.
Convolutions over time are written as 1xN convolutions over a picture of one row, for which runtimes have faster code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.networks.demucs_shape import KERNEL, STRIDE, resample_kernels

Array = npt.NDArray[np.float32]

INPUT = "input"
LENGTHS = "lengths"
OUTPUT = "output"

OPSET = 17
IR_VERSION = 8

_TORCH_GATES = "ifgo"
_ONNX_GATES = "iofg"
"""The order in which the four gates are stacked; ONNX calls the cell gate c."""


@dataclass(frozen=True)
class GraphPiece:
    """A model whose initialisers are named in it and held beside it.

    Attributes:
        content: the ONNX model; its initialisers point at external data that is not there.
        weights: initialiser to array.
    """

    content: bytes
    weights: Mapping[str, Array]

    def embedded(self) -> bytes:
        """The model with its weights inside, for runtimes that take no arrays beside it."""
        import onnx

        model = onnx.load_from_string(self.content)
        for tensor in model.graph.initializer:
            if tensor.name in self.weights:
                tensor.CopyFrom(onnx.numpy_helper.from_array(self.weights[tensor.name], tensor.name))
        return bytes(model.SerializeToString())


def encoder_level(state: Mapping[str, Array], level: int) -> GraphPiece:
    """(B, inputs, 1, S) to (B, width, 1, (S − 8)/4 + 1): convolution, ReLU, gate."""
    weights = {
        "narrowing": state[f"encoder.{level}.0.weight"][:, :, None],
        "narrowing.bias": state[f"encoder.{level}.0.bias"],
        "gate": state[f"encoder.{level}.2.weight"][:, :, None],
        "gate.bias": state[f"encoder.{level}.2.bias"],
    }
    nodes = [
        _node("Conv", [INPUT, "narrowing", "narrowing.bias"], "narrow", kernel_shape=[1, KERNEL], strides=[1, STRIDE]),
        _node("Relu", ["narrow"], "positive"),
        _node("Conv", ["positive", "gate", "gate.bias"], "halves"),
        *_gated("halves", OUTPUT),
    ]
    return _piece(nodes, [(INPUT, ("batch", weights["narrowing"].shape[1], 1, "samples"))], weights)


def decoder_level(state: Mapping[str, Array], level: int, *, is_outermost: bool) -> GraphPiece:
    """(B, width, 1, S) to (B, outputs, 1, (S − 3)·4 + 8): convolution, gate, transposed convolution, ReLU inside."""
    weights = {
        "context": state[f"decoder.{level}.0.weight"][:, :, None],
        "context.bias": state[f"decoder.{level}.0.bias"],
        "widening": state[f"decoder.{level}.2.weight"][:, :, None],
        "widening.bias": state[f"decoder.{level}.2.bias"],
    }
    widened = OUTPUT if is_outermost else "wide"
    nodes = [
        _node("Conv", [INPUT, "context", "context.bias"], "halves"),
        *_gated("halves", "gated"),
        _node(
            "ConvTranspose",
            ["gated", "widening", "widening.bias"],
            widened,
            kernel_shape=[1, KERNEL],
            strides=[1, STRIDE],
        ),
    ]
    if not is_outermost:
        nodes.append(_node("Relu", [widened], OUTPUT))
    return _piece(nodes, [(INPUT, ("batch", weights["context"].shape[1], 1, "samples"))], weights)


def lstm_direction(state: Mapping[str, Array], layer: int, *, is_backward: bool) -> GraphPiece:
    """(T, B, inputs) and the lengths (B,) of the sequences to (T, B, hidden): one direction of a layer.

    Beyond a sequence's length the output is zero, and the backward direction begins at its last step.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = (state[name] for name in lstm_direction_tensors(layer, is_backward))
    weights = {
        "W": _gates(weight_ih),
        "R": _gates(weight_hh),
        "B": np.concatenate([_gates(bias_ih), _gates(bias_hh)], axis=1),
    }
    direction = "reverse" if is_backward else "forward"
    hidden = weights["R"].shape[-1]
    nodes = [
        _node("LSTM", [INPUT, "W", "R", "B", LENGTHS], "steps", hidden_size=hidden, direction=direction),
        _node("Squeeze", ["steps", "direction"], OUTPUT),
    ]
    inputs = [(INPUT, ("steps", "batch", weights["W"].shape[-1]))]
    return _piece(nodes, inputs, weights, {"direction": np.array([1], np.int64)}, has_lengths=True)


def lstm_direction_tensors(layer: int, is_backward: bool) -> list[str]:
    """Names of the tensors that :func:`lstm_direction` takes, in its order."""
    side = "_reverse" if is_backward else ""
    return [f"lstm.lstm.{part}_l{layer}{side}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def lstm_linear(state: Mapping[str, Array]) -> GraphPiece:
    """(T, B, 2 · hidden) to (T, B, channels): the linear map behind the last layer."""
    weights = {
        "linear": np.ascontiguousarray(state["lstm.linear.weight"].T),
        "linear.bias": state["lstm.linear.bias"],
    }
    nodes = [_node("MatMul", [INPUT, "linear"], "mapped"), _node("Add", ["mapped", "linear.bias"], OUTPUT)]
    return _piece(nodes, [(INPUT, ("steps", "batch", len(weights["linear"])))], weights)


LSTM_LINEAR_TENSORS = ("lstm.linear.weight", "lstm.linear.bias")
"""Names of the tensors that :func:`lstm_linear` takes."""


def resampler(old: int, new: int) -> GraphPiece:
    """(rows, 1, 1, S) padded by its caller to (rows, new, 1, steps): one phase a channel; see ``resample_kernels``."""
    kernels, _ = resample_kernels(old, new)
    nodes = [_node("Conv", [INPUT, "kernels"], OUTPUT, strides=[1, old])]
    return _piece(nodes, [(INPUT, ("rows", 1, 1, "samples"))], {"kernels": kernels[:, :, None]})


def level_tensors(side: str, level: int) -> list[str]:
    """Names of the tensors of a level; ``side`` is "encoder" or "decoder"."""
    return [f"{side}.{level}.{index}.{kind}" for index in (0, 2) for kind in ("weight", "bias")]


def _gates(stacked: Array) -> Array:
    """Rows of four gates in torch's order to (1, rows, …) in ONNX' order, copied once."""
    rows = len(stacked) // len(_TORCH_GATES)
    reordered = np.empty((1, *stacked.shape), np.float32)
    for place, gate in enumerate(_ONNX_GATES):
        taken = _TORCH_GATES.index(gate) * rows
        reordered[0, place * rows : (place + 1) * rows] = stacked[taken : taken + rows]
    return reordered


def _gated(halves: str, output: str) -> list[Any]:
    """The first half of the channels times the sigmoid of the second."""
    return [
        _node("Split", [halves], "values", "gates", axis=1),
        _node("Sigmoid", ["gates"], "open"),
        _node("Mul", ["values", "open"], output),
    ]


def _node(kind: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, list(inputs), list(outputs), **attributes)


def _piece(
    nodes: list[Any],
    inputs: Sequence[tuple[str, tuple[int | str, ...]]],
    weights: Mapping[str, Array],
    integers: Mapping[str, npt.NDArray[np.int64]] | None = None,
    *,
    has_lengths: bool = False,
) -> GraphPiece:
    from onnx import TensorProto, helper, numpy_helper

    taken = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in inputs]
    if has_lengths:
        taken.append(helper.make_tensor_value_info(LENGTHS, TensorProto.INT32, ("batch",)))
    held = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in weights.items()}
    named = [_external(name, array.shape) for name, array in held.items()]
    named += [numpy_helper.from_array(array, name) for name, array in (integers or {}).items()]
    given = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "demucs", taken, given, named)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return GraphPiece(model.SerializeToString(), held)


def _external(name: str, shape: tuple[int, ...]) -> Any:
    from onnx import TensorProto

    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.dims.extend(shape)
    tensor.external_data.add(key="location", value=name)
    return tensor
