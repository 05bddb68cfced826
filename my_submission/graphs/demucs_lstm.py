"""The LSTM of a Demucs v2 as ONNX subgraphs, one per direction of a layer, with a loop over its steps.

ONNX's LSTM node stacks the four gates in another order than the checkpoint, half a gigabyte to copy. The loop uses the
checkpoint's arrays, gives the same numbers in the same time, and allows another arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.graphs.rounded_weights import BITS, BLOCK, STEPS, rounded_to_8_bits
from my_submission.graphs.subgraph import INPUT, ONNXRUNTIME_NODES, OUTPUT, Array, Subgraph, build_subgraph, node

LENGTHS = "lengths"

Constants = dict[str, npt.NDArray[Any]]


def lstm_direction(state: Mapping[str, Array], layer: int, *, is_backward: bool, is_rounded: bool = False) -> Subgraph:
    """Return the graph of one direction of a layer, (T, B, inputs) to (T, B, hidden).

    The backward direction has the lengths (B,) of the sequences as a second input and starts at each one's last step.
    Outputs beyond a sequence's length are undefined.

    Args:
        state: the tensors of :func:`lstm_direction_tensors`.
        layer: layer of the LSTM.
        is_backward: which direction.
        is_rounded: whether the recurrent weights, most of the memory that a step reads, are rounded to 8 bits; see
            :func:`_rounded_product`. The width must be a multiple of ``BLOCK``.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = (state[name] for name in lstm_direction_tensors(layer, is_backward))
    hidden = weight_hh.shape[-1]
    weights: dict[str, npt.NDArray[Any]] = {"linear.bias": bias_ih + bias_hh}
    constants: Constants = {"hidden": np.array([hidden]), **_linear_constants(weight_ih)}
    if is_rounded:
        weights["recurrent.steps"], weights["recurrent.scale"] = rounded_to_8_bits(weight_hh)
        constants |= _rounded_constants(hidden)
        product = _rounded_product(hidden)
    else:
        weights["recurrent"] = weight_hh
        product = [node("Gemm", ["state", "recurrent", "projected"], "gates", transB=1)]
    sequence, states = ("reversed", "reversed_states") if is_backward else (INPUT, OUTPUT)
    loop = {"num_scan_inputs": 1, "body": _step(hidden, product)}
    nodes = [
        node("Shape", [sequence], "batch", start=1, end=2),
        node("Concat", ["batch", "hidden"], "state_shape", axis=0),
        node("ConstantOfShape", ["state_shape"], "zeros"),
        *_linear(sequence, "projections"),
        node("Scan", ["zeros", "zeros", "projections"], "last_state", "last_cell", states, **loop),
    ]
    if is_backward:
        axes = {"batch_axis": 1, "time_axis": 0}
        nodes.insert(0, node("ReverseSequence", [INPUT, LENGTHS], sequence, **axes))
        nodes.append(node("ReverseSequence", [states, LENGTHS], OUTPUT, **axes))
    return build_subgraph(
        nodes,
        {INPUT: ("steps", "batch", weight_ih.shape[1])},
        weights,
        fed={"linear": weight_ih},
        constants=constants,
        lengths=LENGTHS if is_backward else None,
    )


def lstm_direction_tensors(layer: int, is_backward: bool) -> list[str]:
    """Return the names of the tensors that :func:`lstm_direction` needs, in its order."""
    side = "_reverse" if is_backward else ""
    return [f"lstm.lstm.{part}_l{layer}{side}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def lstm_linear(state: Mapping[str, Array]) -> Subgraph:
    """Return the graph of the linear layer behind the LSTM, (T, B, 2 · hidden) to (T, B, channels)."""
    weight = state["lstm.linear.weight"]
    return build_subgraph(
        _linear(INPUT, OUTPUT),
        {INPUT: ("steps", "batch", weight.shape[1])},
        {"linear.bias": state["lstm.linear.bias"]},
        fed={"linear": weight},
        constants=_linear_constants(weight),
    )


LSTM_LINEAR_TENSORS = ("lstm.linear.weight", "lstm.linear.bias")
"""Names of the tensors that :func:`lstm_linear` needs."""


def _step(hidden: int, product: list[Any]) -> Any:
    """Return the graph of one step: state, cell (B, hidden) and projected input (B, 4 · hidden) to state, cell, output.

    ``product`` are the nodes from "state" and "projected" to "gates".
    """
    from onnx import TensorProto, helper

    def value(name: str, width: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", width))

    nodes = [
        *product,
        node("Split", ["gates"], "input_gate", "forget_gate", "candidate", "output_gate", axis=1),
        *(node("Sigmoid", [gate], f"{gate}_value") for gate in ("input_gate", "forget_gate", "output_gate")),
        node("Tanh", ["candidate"], "candidate_value"),
        node("Mul", ["forget_gate_value", "cell"], "kept"),
        node("Mul", ["input_gate_value", "candidate_value"], "new"),
        node("Add", ["kept", "new"], "next_cell"),
        node("Tanh", ["next_cell"], "bounded"),
        node("Mul", ["output_gate_value", "bounded"], "next_state"),
        node("Identity", ["next_state"], "step_output"),
    ]
    inputs = [value("state", hidden), value("cell", hidden), value("projected", 4 * hidden)]
    outputs = [value(name, hidden) for name in ("next_state", "next_cell", "step_output")]
    return helper.make_graph(nodes, "lstm_step", inputs, outputs)


def _rounded_product(hidden: int) -> list[Any]:
    """Return the nodes of the recurrent product in integers: weights quantised to 8 bits, states in 16.

    onnxruntime rounds the factors of such weights to 8 bits per block. Therefore the state is rounded in the same way
    first, and its rounding error is multiplied too: 16 bits as two rows of one product, which reads the weights once.
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
            "products",
            domain=ONNXRUNTIME_NODES,
            **product,
        ),
        node("Split", ["products"], "coarse_product", "fine_product", axis=0),
        node("Sum", ["coarse_product", "fine_product", "projected"], "gates"),
    ]


def _rounded_constants(hidden: int) -> Constants:
    return {
        "blocks": np.array([-1, hidden // BLOCK, BLOCK]),
        "state_rows": np.array([-1, hidden]),
        "n_steps": np.array(STEPS, np.float32),
        "tiny": np.array(np.finfo(np.float32).tiny),
    }


def _linear(given: str, output: str) -> list[Any]:
    """Return the nodes of the product with the fed weight "linear": (T, B, inputs) to (T, B, outputs)."""
    return [
        node("Reshape", [given, "rows"], "flat"),
        node("Gemm", ["flat", "linear", "linear.bias"], "mapped", transB=1),
        node("Shape", [given], "steps_and_batch", start=0, end=2),
        node("Concat", ["steps_and_batch", "outputs"], "mapped_shape", axis=0),
        node("Reshape", ["mapped", "mapped_shape"], output),
    ]


def _linear_constants(weight: Array) -> Constants:
    """Return the constants of :func:`_linear`."""
    outputs, inputs = weight.shape
    return {"rows": np.array([-1, inputs]), "outputs": np.array([outputs])}
