"""Small ONNX graphs of the form that spectral networks have, good and bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

BINS, FRAMES = 16, 8
"""They fit a transform of n_fft 64 and hop 16."""


def scaling_graph(
    scale: npt.ArrayLike = 0.25,
    *,
    kind: int = TensorProto.FLOAT,
    channels: int = 4,
    opset: int = 17,
    ir_version: int = 8,
) -> Any:
    """A model that multiplies spectra (batch, channels, BINS, FRAMES) by ``scale``, broadcast over them."""
    shape = ["batch", channels, BINS, FRAMES]
    taken, given = (helper.make_tensor_value_info(name, kind, shape) for name in ("input", "output"))
    weight = numpy_helper.from_array(np.asarray(scale, helper.tensor_dtype_to_np_dtype(kind)), "scale")
    node = helper.make_node("Mul", ["input", "scale"], ["output"])
    graph = helper.make_graph([node], "scaling", [taken], [given], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def saved(path: Path, model: Any) -> Path:
    """Write a model as one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def saved_with_companion(path: Path, location: str = "weights.bin", **how: Any) -> Path:
    """Write a model whose weights are in another file beside it; that file is written only where it is a plain name."""
    scale = np.full((4, BINS, FRAMES), 0.25, np.float32)
    model = scaling_graph(scale, **how)
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(scale.nbytes))):
        tensor.external_data.add(key=key, value=value)
    saved(path, model)
    if location.strip(".") and not set(location) & set("/\\"):
        (path.parent / location).write_bytes(scale.tobytes())
    return path


def model_of(path: Path) -> Any:
    """The model of a file, its companions left alone."""
    return onnx.load(path, load_external_data=False)
