"""Verification of exported TFC-TDF graphs, and their weights.

A published ONNX file has no state dict: convolutions have their normalisation folded in, and linear layers are a MatMul
followed by a BatchNormalization. The walk follows the tensors from input to output and collects the weights under the
submission's key names, with a neutral normalisation for each folded one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.errors import WeightsError
from my_submission.weights.onnx_layout import check_graph_file

BATCH_NORM_EPSILON = 1e-5
"""Epsilon that belongs to the variances in ``TfcTdfWalk.state``."""

_UNCHANGED = frozenset({"Identity", "Cast"})
"""Operators that may follow a stored weight."""

Array = npt.NDArray[np.float32]


def load_model(path: str | PathLike[str]) -> Any:
    """Read the ONNX model of a file, an ``onnx.ModelProto``.

    Raises:
        WeightsError: the file is not an ONNX model.
    """
    import onnx
    from google.protobuf.message import DecodeError

    check_graph_file(Path(path))
    try:
        return onnx.load(fspath(path))
    except (DecodeError, OSError, ValueError, onnx.checker.ValidationError) as error:
        raise WeightsError("not a readable ONNX model", where=path, hint="fetch the file again") from error


@contextmanager
def well_formed(where: str | PathLike[str]) -> Iterator[None]:
    """Turn errors of the body about missing or malformed parts of a graph into a WeightsError that names the file."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, NotImplementedError) as error:
        problem = f"the graph is not well-formed ({' '.join(str(error).split())[:200]})"
        raise WeightsError(problem, where=where, hint="fetch the file again, or export the network again") from error


class TfcTdfWalk:
    """A walk along the tensors of a graph.

    Args:
        graph: the graph of an ONNX model.
        where: its file, for error messages.

    Attributes:
        state: the weights found so far, by the submission's key names.
        transposes: the two nodes that swap bins and frames.
        norms: normalisations behind linear layers, by their names in ``state``.
        n_scales: number of downsamplings.
    """

    def __init__(self, graph: Any, where: str | PathLike[str]) -> None:
        import onnx

        self.state: dict[str, npt.NDArray[Any]] = {}
        self.transposes: list[Any] = []
        self.norms: dict[str, Any] = {}
        self.n_scales = 0
        self._graph = graph
        self._where = where
        self._to_array = onnx.numpy_helper.to_array
        self._attribute = onnx.helper.get_attribute_value
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output}
        self._users: dict[str, list[Any]] = defaultdict(list)
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self._users[name].append(node)

    def network(self) -> None:
        """Walk from the graph's input to its output.

        Raises:
            WeightsError: the graph is not that of a TFC-TDF network; the message names the first wrong node.
        """
        if len(self._graph.input) != 1 or len(self._graph.output) != 1:
            raise self._error("the graph does not have one input and one output")
        x = self._relu(self._convolution(self._graph.input[0].name, "Conv", "first_conv"))
        x = self._transposed(x)
        skips: list[str] = []
        while True:
            level = len(skips)
            if self._follows_down(x):
                x = self._block(x, f"ds_dense.{level}")
                skips.append(x)
                x = self._relu(self._convolution(x, "Conv", f"ds.{level}"))
            else:
                x = self._block(x, "mid_dense")
                break
        self.n_scales = len(skips)
        for level in range(len(skips)):
            x = self._relu(self._convolution(x, "ConvTranspose", f"us.{level}"))
            product = self._next(x, "Mul")
            if skips.pop() not in product.input:
                raise self._error("does not multiply by the skip of its level", product)
            x = self._block(product.output[0], f"us_dense.{level}")
        x = self._transposed(x)
        x = self._convolution(x, "Conv", "final_conv", has_norm=False)
        if x != self._graph.output[0].name:
            raise self._error(f"the tensor {x} after the last convolution is not the graph's output")

    def _transposed(self, x: str) -> str:
        node = self._next(x, "Transpose")
        self.transposes.append(node)
        return str(node.output[0])

    def _follows_down(self, x: str) -> bool:
        """Return whether a downsampling follows the block that starts at ``x``; none follows the bottleneck."""
        while True:
            users = {node.op_type: node for node in self._users[x]}
            if "MatMul" in users:
                total = users.get("Add")
                if total is None:
                    raise self._error("its result is not added to its input", users["MatMul"])
                return any(node.op_type == "Conv" for node in self._users[total.output[0]])
            step = users.get("Conv") or users.get("BatchNormalization") or users.get("Relu")
            if step is None:
                raise self._error(f"no TFC-TDF block follows the tensor {x}")
            x = step.output[0]

    def _block(self, x: str, name: str) -> str:
        layer = 0
        while not any(node.op_type == "MatMul" for node in self._users[x]):
            x = self._relu(self._convolution(x, "Conv", f"{name}.H.{layer}"))
            layer += 1
        y = self._relu(self._norm(self._linear(x, f"{name}.tdf.0"), f"{name}.tdf.1", None))
        if any(node.op_type == "MatMul" for node in self._users[y]):  # else a single layer, without a bottleneck
            y = self._relu(self._norm(self._linear(y, f"{name}.tdf.3"), f"{name}.tdf.4", None))
        total = self._next(y, "Add")
        if x not in total.input:
            raise self._error("does not add the TDF to the block's convolutions", total)
        return str(total.output[0])

    def _convolution(self, x: str, kind: str, name: str, *, has_norm: bool = True) -> str:
        node = self._next(x, kind)
        weight = self._constant(node.input[1], node)
        if weight.ndim != 4:
            raise self._error(f"has a weight of shape {weight.shape}", node)
        n_out = weight.shape[1] if kind == "ConvTranspose" else weight.shape[0]
        bias = self._constant(node.input[2], node) if len(node.input) > 2 else np.zeros(n_out, np.float32)
        self.state[f"{name}.0.weight"], self.state[f"{name}.0.bias"] = weight, bias
        return self._norm(node.output[0], f"{name}.1", n_out) if has_norm else str(node.output[0])

    def _linear(self, x: str, name: str) -> str:
        node = self._next(x, "MatMul")
        self.state[f"{name}.weight"] = np.ascontiguousarray(self._constant(node.input[1], node).T)
        sums = [user for user in self._users[node.output[0]] if user.op_type == "Add"]
        if not sums:
            return str(node.output[0])
        offset = next(n for n in sums[0].input if n != node.output[0])
        self.state[f"{name}.bias"] = self._constant(offset, sums[0])
        return str(sums[0].output[0])

    def _norm(self, x: str, name: str, folded_channels: int | None) -> str:
        """Collect the normalisation after ``x``, or a neutral one of ``folded_channels`` if it was folded."""
        nodes = [node for node in self._users[x] if node.op_type == "BatchNormalization"]
        if nodes:
            weight, bias, mean, var = (self._constant(n, nodes[0]) for n in nodes[0].input[1:5])
            attributes = {a.name: self._attribute(a) for a in nodes[0].attribute}
            var = var + np.float32(attributes.get("epsilon", BATCH_NORM_EPSILON) - BATCH_NORM_EPSILON)
            x = nodes[0].output[0]
            if folded_channels is None:
                self.norms[name] = nodes[0]
        elif folded_channels is None:
            raise self._error(f"no BatchNormalization follows the tensor {x}")
        else:
            ones, zeros = np.ones(folded_channels, np.float32), np.zeros(folded_channels, np.float32)
            weight, bias, mean, var = ones, zeros, zeros, ones - np.float32(BATCH_NORM_EPSILON)
        for part, value in (("weight", weight), ("bias", bias), ("running_mean", mean), ("running_var", var)):
            self.state[f"{name}.{part}"] = value
        self.state[f"{name}.num_batches_tracked"] = np.array(0, np.int64)
        return x

    def _relu(self, x: str) -> str:
        return str(self._next(x, "Relu").output[0])

    def _next(self, x: str, kind: str) -> Any:
        """Return the only node of that kind that uses tensor ``x``."""
        users = self._users[x]
        found = [node for node in users if node.op_type == kind]
        if len(found) != 1:
            named = ", ".join(f"{node.op_type} {node.name!r}" for node in users) or "nothing"
            raise self._error(f"after the tensor {x} comes {named} where a TFC-TDF network has {kind}")
        return found[0]

    def _constant(self, name: str, node: Any) -> Array:
        """Return the stored array of a node's input."""
        while name not in self._stored:
            maker = self._makers.get(name)
            if maker is None or maker.op_type not in {*_UNCHANGED, "Constant"}:
                raise self._error(f"uses {name}, which is not a stored weight", node)
            if maker.op_type == "Constant":
                return np.asarray(self._to_array(self._attribute(maker.attribute[0])), dtype=np.float32)
            name = maker.input[0]
        return np.array(self._to_array(self._stored[name]), dtype=np.float32)

    def _error(self, problem: str, node: Any = None) -> WeightsError:
        named = problem if node is None else f"the node {node.op_type} {node.name!r} {problem}"
        return WeightsError(named, where=self._where, hint="use a graph exported from a TFC-TDF network")
