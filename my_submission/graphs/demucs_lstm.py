"""The LSTM of a Demucs v2 as small ONNX graphs, one a direction of a layer, its steps written out as a loop.

ONNX has a node for an LSTM, which wants the four gates stacked in another order than a checkpoint has them: half a
gigabyte to copy. The loop takes the checkpoint's own arrays, gives the same numbers in the same time, and can be told
to multiply in another arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.graphs.rounded_weights import BITS, BLOCK, STEPS, rounded_to_8_bits
from my_submission.graphs.subgraph import (
    INPUT,
    ONNXRUNTIME_NODES,
    OUTPUT,
    Array,
    Subgraph,
    graph_piece,
    node,
)

LENGTHS = "lengths"

Constants = dict[str, npt.NDArray[Any]]


def lstm_direction(state: Mapping[str, Array], layer: int, *, is_backward: bool, is_rounded: bool = False) -> Subgraph:
    """(T, B, inputs) to (T, B, hidden): one direction of a layer.

    The backward direction asks for the lengths (B,) of the sequences too, and begins at each one's last step. What
    comes out beyond a sequence's length means nothing.

    Args:
        state: the tensors of :func:`lstm_direction_tensors`.
        layer: of the LSTM.
        is_backward: which direction.
        is_rounded: whether the recurrent weights are rounded to 8 bits, by far the most of what every step reads;
            see :func:`_rounded_push`. The width must be a multiple of ``BLOCK``.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = (state[name] for name in lstm_direction_tensors(layer, is_backward))
    hidden = weight_hh.shape[-1]
    weights: dict[str, npt.NDArray[Any]] = {"linear.bias": bias_ih + bias_hh}
    constants: Constants = {"hidden": np.array([hidden]), **_linear_constants(weight_ih)}
    if is_rounded:
        weights["recurrent.steps"], weights["recurrent.scale"] = rounded_to_8_bits(weight_hh)
        constants |= _rounded_constants(hidden)
        push = _rounded_push(hidden)
    else:
        weights["recurrent"] = weight_hh
        push = [node("Gemm", ["state", "recurrent", "drive"], "gates", transB=1)]
    heard, told = ("reversed", "told_reversed") if is_backward else (INPUT, OUTPUT)
    loop = {"num_scan_inputs": 1, "body": _step(hidden, push)}
    nodes = [
        node("Shape", [heard], "batch", start=1, end=2),
        node("Concat", ["batch", "hidden"], "state_shape", axis=0),
        node("ConstantOfShape", ["state_shape"], "silence"),
        *_linear(heard, "drives"),
        node("Scan", ["silence", "silence", "drives"], "last_state", "last_cell", told, **loop),
    ]
    if is_backward:
        turn = {"batch_axis": 1, "time_axis": 0}
        nodes.insert(0, node("ReverseSequence", [INPUT, LENGTHS], heard, **turn))
        nodes.append(node("ReverseSequence", [told, LENGTHS], OUTPUT, **turn))
    return graph_piece(
        nodes,
        {INPUT: ("steps", "batch", weight_ih.shape[1])},
        weights,
        fed={"linear": weight_ih},
        constants=constants,
        lengths=LENGTHS if is_backward else None,
    )


def lstm_direction_tensors(layer: int, is_backward: bool) -> list[str]:
    """Names of the tensors that :func:`lstm_direction` takes, in its order."""
    side = "_reverse" if is_backward else ""
    return [f"lstm.lstm.{part}_l{layer}{side}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def lstm_linear(state: Mapping[str, Array]) -> Subgraph:
    """(T, B, 2 · hidden) to (T, B, channels): the linear map behind the last layer."""
    weight = state["lstm.linear.weight"]
    return graph_piece(
        _linear(INPUT, OUTPUT),
        {INPUT: ("steps", "batch", weight.shape[1])},
        {"linear.bias": state["lstm.linear.bias"]},
        fed={"linear": weight},
        constants=_linear_constants(weight),
    )


LSTM_LINEAR_TENSORS = ("lstm.linear.weight", "lstm.linear.bias")
"""Names of the tensors that :func:`lstm_linear` takes."""


def _step(hidden: int, push: list[Any]) -> Any:
    """One step: state and cell (B, hidden), and what drives the gates (B, 4 · hidden), to state, cell and state.

    ``push`` are the nodes from "state" and "drive" to "gates".
    """
    from onnx import TensorProto, helper

    def value(name: str, width: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", width))

    nodes = [
        *push,
        node("Split", ["gates"], "let_in", "keep", "candidate", "let_out", axis=1),
        *(node("Sigmoid", [gate], f"{gate}_share") for gate in ("let_in", "keep", "let_out")),
        node("Tanh", ["candidate"], "candidate_share"),
        node("Mul", ["keep_share", "cell"], "kept"),
        node("Mul", ["let_in_share", "candidate_share"], "new"),
        node("Add", ["kept", "new"], "next_cell"),
        node("Tanh", ["next_cell"], "bounded"),
        node("Mul", ["let_out_share", "bounded"], "next_state"),
        node("Identity", ["next_state"], "told"),
    ]
    taken = [value("state", hidden), value("cell", hidden), value("drive", 4 * hidden)]
    given = [value(name, hidden) for name in ("next_state", "next_cell", "told")]
    return helper.make_graph(nodes, "lstm_step", taken, given)


def _rounded_push(hidden: int) -> list[Any]:
    """The same product, of integers: weights in 8 bits, states in twice 8.

    onnxruntime rounds what it multiplies with such weights to 8 bits too, block by block. So the state is rounded here
    first, in just that way, and what the rounding left is multiplied as well: 16 bits in two products, which read the
    weights once.
    """
    product = {"K": hidden, "N": 4 * hidden, "bits": BITS, "block_size": BLOCK, "accuracy_level": 4}
    return [
        node("Reshape", ["state", "blocks"], "blocked"),
        node("Abs", ["blocked"], "size"),
        node("ReduceMax", ["size"], "largest", axes=[2], keepdims=1),
        node("Add", ["largest", "tiny"], "range"),
        node("Div", ["blocked", "range"], "ratio"),
        node("Mul", ["ratio", "n_steps"], "unrounded"),
        node("Round", ["unrounded"], "steps"),
        node("Div", ["steps", "n_steps"], "rounded_ratio"),
        node("Mul", ["rounded_ratio", "range"], "coarse"),
        node("Sub", ["blocked", "coarse"], "fine"),
        node("Concat", ["coarse", "fine"], "both_blocked", axis=0),
        node("Reshape", ["both_blocked", "state_rows"], "both"),
        node(
            "MatMulNBits",
            ["both", "recurrent.steps", "recurrent.scale"],
            "pushes",
            domain=ONNXRUNTIME_NODES,
            **product,
        ),
        node("Split", ["pushes"], "coarse_push", "fine_push", axis=0),
        node("Sum", ["coarse_push", "fine_push", "drive"], "gates"),
    ]


def _rounded_constants(hidden: int) -> Constants:
    return {
        "blocks": np.array([-1, hidden // BLOCK, BLOCK]),
        "state_rows": np.array([-1, hidden]),
        "n_steps": np.array(STEPS, np.float32),
        "tiny": np.array(np.finfo(np.float32).tiny),
    }


def _linear(given: str, output: str) -> list[Any]:
    """(T, B, inputs) to (T, B, outputs): the product with "linear" (outputs, inputs), which is fed."""
    return [
        node("Reshape", [given, "rows"], "flat"),
        node("Gemm", ["flat", "linear", "linear.bias"], "mapped", transB=1),
        node("Shape", [given], "steps_and_batch", start=0, end=2),
        node("Concat", ["steps_and_batch", "outputs"], "mapped_shape", axis=0),
        node("Reshape", ["mapped", "mapped_shape"], output),
    ]


def _linear_constants(weight: Array) -> Constants:
    """The constants that :func:`_linear` needs."""
    outputs, inputs = weight.shape
    return {"rows": np.array([-1, inputs]), "outputs": np.array([outputs])}
