"""Conversion of ONNX graphs to float16, with float32 inputs and outputs."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from my_submission.errors import WeightsError

SAME_TYPE_OPERATORS = frozenset(
    {"Add", "BatchNormalization", "Conv", "ConvTranspose", "Identity", "MatMul", "Mul", "Relu", "Transpose"}
)
"""Operators of published TFC-TDF graphs, whose inputs and outputs may all be float16."""

_HINT = "use --precision fp32"


def half_precision(model: Any, where: str | PathLike[str]) -> Any:
    """Return a copy of an ONNX model that computes in float16; its inputs and outputs stay float32.

    Args:
        model: an ``onnx.ModelProto``.
        where: its file, for error messages.

    Raises:
        WeightsError: an operator may need float32 somewhere, or a weight is too large for float16.
    """
    import onnx

    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    graph = halved.graph
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                _halve(attribute.t, where)
        elif node.op_type == "Cast":
            for attribute in node.attribute:
                if attribute.name == "to" and attribute.i == onnx.TensorProto.FLOAT:
                    attribute.i = onnx.TensorProto.FLOAT16
        elif node.op_type not in SAME_TYPE_OPERATORS:
            problem = f"the operator {node.op_type} is not known to work in float16"
            raise WeightsError(problem, where=where, hint=_HINT)
    for tensor in graph.initializer:
        _halve(tensor, where)
    del graph.value_info[:]
    _cast_at_the_ends(graph)
    return halved


def _halve(tensor: Any, where: str | PathLike[str]) -> None:
    """Round a float32 tensor to float16 in place."""
    import onnx

    if tensor.data_type != onnx.TensorProto.FLOAT:
        return
    with np.errstate(over="ignore"):
        rounded = onnx.numpy_helper.to_array(tensor).astype(np.float16)
    if not np.isfinite(rounded).all():
        raise WeightsError(f"the weight {tensor.name!r} is too large for float16", where=where, hint=_HINT)
    tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))


def _cast_at_the_ends(graph: Any) -> None:
    """Rename inputs and outputs inside the graph, and cast between both names."""
    import onnx

    stored = {tensor.name for tensor in graph.initializer}
    inside = {value.name: f"{value.name}/half" for value in (*graph.input, *graph.output) if value.name not in stored}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [inside.get(name, name) for name in names]
    entering = [
        onnx.helper.make_node("Cast", [value.name], [inside[value.name]], to=onnx.TensorProto.FLOAT16)
        for value in graph.input
        if value.name in inside
    ]
    leaving = [
        onnx.helper.make_node("Cast", [inside[value.name]], [value.name], to=onnx.TensorProto.FLOAT)
        for value in graph.output
    ]
    nodes = [*entering, *graph.node, *leaving]
    del graph.node[:]
    graph.node.extend(nodes)
