"""Published TFC-TDF graphs, rewritten to take frames before bins and any number of frames.

Inside, the network works on (frames, bins) between two Transposes. Its first and last convolutions are 1x1, so the
Transposes can be removed if the input has frames before bins, as a real FFT computes them; the output is bit-identical.
Every layer takes any multiple of 2^scales frames, so the time axis can be dynamic.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from my_submission.errors import WeightsError
from my_submission.geometry import ReceptiveField
from my_submission.graphs.tfc_tdf_walk import BATCH_NORM_EPSILON, TfcTdfWalk, load_model, well_formed

_HINT = "use a graph exported from a TFC-TDF network"


@dataclass(frozen=True)
class FrameMajorGraph:
    """A rewritten graph: ``input`` float32 (batch, channels, frames, bins) to ``output`` of the same shape.

    Attributes:
        content: the ONNX model.
        channels: real and imaginary parts of every audio channel.
        bins: frequency bins.
        frames: time frames of the stored graph.
        reach: the network's receptive field along time.
        metadata: key-value pairs in the file, sorted.
    """

    content: bytes
    channels: int
    bins: int
    frames: int
    reach: ReceptiveField
    metadata: tuple[tuple[str, str], ...]


def frame_major(path: str | PathLike[str], *, are_norms_apart: bool = False) -> FrameMajorGraph:
    """Rewrite the graph of a file, after checking that it is a TFC-TDF network.

    Args:
        path: an ONNX file.
        are_norms_apart: whether to write the normalisations behind linear layers as products and sums, which OpenVINO
            does not fold into the layers' weights, see :func:`_separate_norms`; equal except for rounding.

    Raises:
        WeightsError: the file is not an ONNX model, or not one of a published-form TFC-TDF network.
    """
    with well_formed(path):
        return _rewritten(path, are_norms_apart=are_norms_apart)


def _rewritten(path: str | PathLike[str], *, are_norms_apart: bool) -> FrameMajorGraph:
    model = load_model(path)
    walk = TfcTdfWalk(model.graph, path)
    walk.network()
    reach = _reach(model.graph, walk, path)
    channels, bins, frames = (dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:])
    _remove(model.graph, walk.transposes)
    if are_norms_apart:
        _separate_norms(model.graph, walk)
    for value in (model.graph.input[0], model.graph.output[0]):
        dims = value.type.tensor_type.shape.dim
        dims[3].dim_value = dims[2].dim_value
        dims[2].dim_param = "frames"
    # Stored shapes of inner tensors are those of the fixed time axis; onnxruntime infers them again.
    del model.graph.value_info[:]
    metadata = tuple(sorted((pair.key, pair.value) for pair in model.metadata_props))
    return FrameMajorGraph(model.SerializeToString(), channels, bins, frames, reach, metadata)


def _reach(graph: Any, walk: TfcTdfWalk, where: str | PathLike[str]) -> ReceptiveField:
    """Return the receptive field, after checking that convolutions and Transposes are those of a TFC-TDF network."""
    import onnx

    for name in ("first_conv", "final_conv"):
        if walk.state[f"{name}.0.weight"].shape[2:] != (1, 1):
            raise WeightsError(f"{name} is not a 1x1 convolution", where=where, hint=_HINT)
    for node in walk.transposes:
        if [list(a.ints) for a in node.attribute if a.name == "perm"] != [[0, 1, 3, 2]]:
            raise WeightsError(f"the node {node.name!r} does not swap bins and frames", where=where, hint=_HINT)
    kernels = set()
    for node in graph.node:
        if node.op_type in {"Conv", "ConvTranspose"}:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            kernel = attributes["kernel_shape"][0]
            is_resampling = kernel == 2
            expected = {
                "kernel_shape": [kernel] * 2,
                "strides": [2, 2] if is_resampling else [1, 1],
                "pads": [0] * 4 if is_resampling else [kernel // 2] * 4,
                "dilations": [1, 1],
                "group": 1,
            }
            if any(attributes.get(name, value) != value for name, value in expected.items()):
                raise WeightsError(f"the node {node.op_type} {node.name!r} has {attributes}", where=where, hint=_HINT)
            if not is_resampling:
                kernels.add(kernel)
    n_convolutions = 1 + max(int(key.split(".")[2]) for key in walk.state if key.startswith("mid_dense.H."))
    return ReceptiveField(scales=walk.n_scales, frames_per_block=n_convolutions * (max(kernels) // 2))


def _separate_norms(graph: Any, walk: TfcTdfWalk) -> None:
    """Write the normalisations behind linear layers, and their activations, over (batch, channels, frames · bins).

    OpenVINO folds a normalisation behind a MatMul into its weights: one matrix per channel instead of one for all, half
    a gigabyte for a published network, multiplied in float32 at any precision. A Reshape in between prevents that.
    """
    from onnx import helper, numpy_helper

    flat = "norms_apart.flat"
    graph.initializer.append(numpy_helper.from_array(np.array([0, 0, -1], np.int64), flat))
    activations = {node.input[0]: node for node in graph.node if node.op_type == "Relu"}
    for name, norm in walk.norms.items():
        weight, bias, mean, var = (
            walk.state[f"{name}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / np.sqrt(var + BATCH_NORM_EPSILON)
        block, _, index = name.rpartition(".")
        bins = len(walk.state[f"{block}.{int(index) - 1}.weight"])
        constants = {
            "scale": scale.astype(np.float32)[:, None],
            "offset": (bias - mean * scale).astype(np.float32)[:, None],
            "shape": np.array([0, 0, -1, bins], np.int64),
        }
        graph.initializer.extend(numpy_helper.from_array(value, f"{name}.{key}") for key, value in constants.items())
        activation = activations[norm.output[0]]
        steps = [
            helper.make_node("Reshape", [norm.input[0], flat], [f"{name}.flat"]),
            helper.make_node("Mul", [f"{name}.flat", f"{name}.scale"], [f"{name}.scaled"]),
            helper.make_node("Add", [f"{name}.scaled", f"{name}.offset"], [f"{name}.shifted"]),
            helper.make_node("Relu", [f"{name}.shifted"], [f"{name}.positive"]),
            helper.make_node("Reshape", [f"{name}.positive", f"{name}.shape"], list(activation.output)),
        ]
        place = list(graph.node).index(norm)
        graph.node.remove(norm)
        graph.node.remove(activation)
        for step in reversed(steps):
            graph.node.insert(place, step)


def _remove(graph: Any, nodes: list[Any]) -> None:
    """Remove nodes of one input and one output from a graph."""
    joined = {node.output[0]: node.input[0] for node in nodes}
    for node in nodes:
        graph.node.remove(node)
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = joined.get(name, name)
