"""A published TFC-TDF graph, rewritten to take frames before bins and any number of frames.

Inside, the network works on (frames, bins) between two Transposes. Its first and last convolutions are 1x1, so the
Transposes can be left out when the spectrum comes as a real FFT makes it, frame after frame; the arithmetic is the
same to the bit. Every layer takes any multiple of 2^scales frames, so the time axis can be left open.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from my_submission.errors import WeightsError
from my_submission.geometry import ReceptiveField
from my_submission.graphs.tfc_tdf_walk import BATCH_NORM_EPSILON, TfcTdfWalk, load_model, well_formed

_CURE = "use a graph exported from a TFC-TDF network"


@dataclass(frozen=True)
class FrameMajorGraph:
    """A rewritten graph: ``input`` float32 (batch, channels, frames, bins) to ``output`` of the same shape.

    Attributes:
        content: the ONNX model.
        channels: real and imaginary parts of every audio channel.
        bins: frequency bins.
        frames: time frames that the file's own graph is fixed to.
        reach: how far the network sees along time.
        metadata: the key-value notes in the file.
    """

    content: bytes
    channels: int
    bins: int
    frames: int
    reach: ReceptiveField
    metadata: tuple[tuple[str, str], ...]


def frame_major(path: str | PathLike[str], *, are_norms_apart: bool = False) -> FrameMajorGraph:
    """Rewrite the graph of a file, after a walk along all of it has shown that this changes nothing.

    Args:
        path: an ONNX file.
        are_norms_apart: whether the normalisations behind linear layers stand as products and sums that OpenVINO does
            not fold into the layers' weights, see :func:`_set_norms_apart`; the same numbers but for rounding.

    Raises:
        WeightsError: the file is no ONNX model, or not one of a published-form TFC-TDF network.
    """
    with well_formed(path):
        return _rewritten(path, are_norms_apart=are_norms_apart)


def _rewritten(path: str | PathLike[str], *, are_norms_apart: bool) -> FrameMajorGraph:
    model = load_model(path)
    walk = TfcTdfWalk(model.graph, path)
    walk.network()
    reach = _reach(model.graph, walk, path)
    channels, bins, frames = (dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:])
    _leave_out(model.graph, walk.transposes)
    if are_norms_apart:
        _set_norms_apart(model.graph, walk)
    for value in (model.graph.input[0], model.graph.output[0]):
        dims = value.type.tensor_type.shape.dim
        dims[3].dim_value = dims[2].dim_value
        dims[2].dim_param = "frames"
    # Shapes noted inside the graph are those of the fixed time axis; onnxruntime infers them anew.
    del model.graph.value_info[:]
    metadata = tuple(sorted((note.key, note.value) for note in model.metadata_props))
    return FrameMajorGraph(model.SerializeToString(), channels, bins, frames, reach, metadata)


def _reach(graph: Any, walk: TfcTdfWalk, where: str | PathLike[str]) -> ReceptiveField:
    """Read the reach off the convolutions, having checked that they are those the rewriting relies on."""
    import onnx

    for name in ("first_conv", "final_conv"):
        if walk.state[f"{name}.0.weight"].shape[2:] != (1, 1):
            raise WeightsError(f"{name} is no 1x1 convolution", where=where, hint=_CURE)
    for node in walk.transposes:
        if [list(a.ints) for a in node.attribute if a.name == "perm"] != [[0, 1, 3, 2]]:
            raise WeightsError(f"the node {node.name!r} does not swap bins and frames", where=where, hint=_CURE)
    kernels = set()
    for node in graph.node:
        if node.op_type in {"Conv", "ConvTranspose"}:
            given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            kernel = given["kernel_shape"][0]
            is_resampling = kernel == 2
            expected = {
                "kernel_shape": [kernel] * 2,
                "strides": [2, 2] if is_resampling else [1, 1],
                "pads": [0] * 4 if is_resampling else [kernel // 2] * 4,
                "dilations": [1, 1],
                "group": 1,
            }
            if any(given.get(name, value) != value for name, value in expected.items()):
                raise WeightsError(f"the node {node.op_type} {node.name!r} has {given}", where=where, hint=_CURE)
            if not is_resampling:
                kernels.add(kernel)
    n_convolutions = 1 + max(int(key.split(".")[2]) for key in walk.state if key.startswith("mid_dense.H."))
    return ReceptiveField(scales=walk.n_scales, frames_per_block=n_convolutions * (max(kernels) // 2))


def _set_norms_apart(graph: Any, walk: TfcTdfWalk) -> None:
    """Write the normalisations behind linear layers, and their activations, over (batch, channels, the rest).

    A normalisation right behind a MatMul is folded into the layer's weights by OpenVINO: one matrix a channel instead
    of one for all, half a gigabyte for a published network, multiplied in float32 whatever precision is asked for. A
    change of shape in between keeps both apart.
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


def _leave_out(graph: Any, nodes: list[Any]) -> None:
    """Take nodes of one input and one output out of a graph and join their ends."""
    joined = {node.output[0]: node.input[0] for node in nodes}
    for node in nodes:
        graph.node.remove(node)
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = joined.get(name, name)
