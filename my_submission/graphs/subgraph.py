"""ONNX subgraphs built in memory, with their weights in numpy arrays beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

INPUT = "input"
OUTPUT = "output"

OPSET = 17
IR_VERSION = 8

ONNXRUNTIME_NODES = "com.microsoft"
"""Domain of onnxruntime's own operators."""


@dataclass(frozen=True)
class Subgraph:
    """A model and its weights.

    Attributes:
        content: the ONNX model; its initialisers refer to external data that does not exist.
        weights: initialiser to array.
        fed: input to array, fed in every run: weights that a runtime reads in place, whereas it would make a reordered
            copy of an initialiser.
    """

    content: bytes
    weights: Mapping[str, npt.NDArray[Any]]
    fed: Mapping[str, Array]


def node(kind: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> Any:
    """Return a node of a graph."""
    from onnx import helper

    return helper.make_node(kind, list(inputs), list(outputs), **attributes)


def build_subgraph(
    nodes: list[Any],
    inputs: Mapping[str, tuple[int | str, ...]],
    weights: Mapping[str, npt.NDArray[Any]],
    *,
    fed: Mapping[str, Array] | None = None,
    constants: Mapping[str, npt.NDArray[Any]] | None = None,
    lengths: str | None = None,
) -> Subgraph:
    """Return the graph of some nodes, from its inputs to ``OUTPUT``.

    Args:
        nodes: nodes in topological order.
        inputs: name to shape, all float32.
        weights: initialisers stored beside the graph.
        fed: weights that are inputs, float32.
        constants: small initialisers stored in the graph.
        lengths: name of an int64 input (batch,).
    """
    from onnx import TensorProto, helper, numpy_helper

    held = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    read_in_place = {name: np.ascontiguousarray(array) for name, array in (fed or {}).items()}
    shapes: dict[str, tuple[int | str, ...]] = {
        **inputs,
        **{name: value.shape for name, value in read_in_place.items()},
    }
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    if lengths is not None:
        values.append(helper.make_tensor_value_info(lengths, TensorProto.INT64, ("batch",)))
    initialisers = [_external(name, array) for name, array in held.items()]
    initialisers += [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "subgraph", values, outputs, initialisers)
    operators = [helper.make_opsetid("", OPSET), helper.make_opsetid(ONNXRUNTIME_NODES, 1)]
    model = helper.make_model(graph, opset_imports=operators, ir_version=IR_VERSION)
    return Subgraph(model.SerializeToString(), held, read_in_place)


def _external(name: str, array: npt.NDArray[Any]) -> Any:
    from onnx import TensorProto, helper

    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = TensorProto(name=name, data_type=kind, data_location=TensorProto.EXTERNAL)
    tensor.dims.extend(array.shape)
    tensor.external_data.add(key="location", value=name)
    return tensor
