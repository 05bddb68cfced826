"""Small ONNX graphs built in memory, their weights beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

INPUT = "input"
OUTPUT = "output"

OPSET = 17
IR_VERSION = 8

ONNXRUNTIME_NODES = "com.microsoft"
"""The domain of nodes that onnxruntime has beyond ONNX."""


@dataclass(frozen=True)
class Subgraph:
    """A model whose initialisers are named in it and held beside it.

    Attributes:
        content: the ONNX model; its initialisers point at external data that is not there.
        weights: initialiser to array.
        fed: input to array, to be given with every run: weights that a runtime reads where they are, while it would
            make a copy of an initialiser in an order of its own.
    """

    content: bytes
    weights: Mapping[str, npt.NDArray[Any]]
    fed: Mapping[str, Array] = field(default_factory=dict)

    def embedded(self) -> bytes:
        """The model with its weights inside, for runtimes that take no arrays beside it."""
        import onnx

        model = onnx.load_from_string(self.content)
        for tensor in model.graph.initializer:
            if tensor.name in self.weights:
                tensor.CopyFrom(onnx.numpy_helper.from_array(self.weights[tensor.name], tensor.name))
        return bytes(model.SerializeToString())


def node(kind: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> Any:
    """A node of a graph."""
    from onnx import helper

    return helper.make_node(kind, list(inputs), list(outputs), **attributes)


def graph_piece(
    nodes: list[Any],
    inputs: Mapping[str, tuple[int | str, ...]],
    weights: Mapping[str, npt.NDArray[Any]],
    *,
    fed: Mapping[str, Array] | None = None,
    constants: Mapping[str, npt.NDArray[Any]] | None = None,
    lengths: str | None = None,
) -> Subgraph:
    """A graph of the nodes, from its inputs to ``OUTPUT``.

    Args:
        nodes: in an order in which they can be computed.
        inputs: name to sizes, all float32.
        weights: initialisers that are kept beside the graph.
        fed: weights that are inputs, float32.
        constants: small initialisers that are kept in it.
        lengths: the name of an input of integers, one for each of the batch.
    """
    from onnx import TensorProto, helper, numpy_helper

    held = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    read_in_place = {name: np.ascontiguousarray(array) for name, array in (fed or {}).items()}
    sizes: dict[str, tuple[int | str, ...]] = {**inputs, **{name: value.shape for name, value in read_in_place.items()}}
    taken = [helper.make_tensor_value_info(name, TensorProto.FLOAT, given) for name, given in sizes.items()]
    if lengths is not None:
        taken.append(helper.make_tensor_value_info(lengths, TensorProto.INT64, ("batch",)))
    named = [_external(name, array) for name, array in held.items()]
    named += [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    given = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "piece", taken, given, named)
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
