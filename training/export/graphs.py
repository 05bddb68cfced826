"""Steps shared by all ONNX exports: tracing, half-precision weights, metadata, parity, writing."""

from __future__ import annotations

import hashlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from my_submission.files.part_files import written_whole

logger = logging.getLogger(__name__)

OPSET = 17
PARITY_DB = 100.0
"""Minimum signal-to-difference ratio between a graph and the torch module with the same weights."""

HALF_SMALLEST = 256
"""Tensors with fewer values stay in single precision: norms, biases and constants."""


@dataclass(frozen=True)
class Exported:
    """An exported file: path, hash and size of its content, parity with torch in dB."""

    path: Path
    sha256: str
    n_bytes: int
    parity_db: float


@contextmanager
def in_eval_mode(net: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode for the length of a with block."""
    was_training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(was_training)


def rounded_to_half(net: nn.Module) -> None:
    """Round in place the weights that :func:`store_half` stores in half precision."""
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.numel() >= HALF_SMALLEST:
                parameter.copy_(parameter.half().float())


def store_half(model: Any) -> None:
    """Store large float32 initialisers as float16, followed by a Cast to float32."""
    import onnx

    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < HALF_SMALLEST:
            continue
        stored = f"{tensor.name}.half"
        casts.append(onnx.helper.make_node("Cast", [stored], [tensor.name], f"{tensor.name}.cast", to=1))
        graph.initializer.remove(tensor)
        graph.initializer.append(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def traced(
    module: nn.Module,
    example: tuple[Tensor, ...],
    *,
    inputs: Mapping[str, Mapping[int, str]],
    output: str,
    output_axes: Mapping[int, str],
) -> Any:
    """Return the ONNX model made by torch's TorchScript exporter, with folded constants.

    Args:
        module: module in evaluation mode.
        example: example inputs.
        inputs: names of the inputs in order, each with its dynamic axes.
        output: name of the output.
        output_axes: dynamic axes of the output.
    """
    import onnx

    buffer: Any = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter, which needs no extra package, warns that it is deprecated. Instance normalisation
        # has no evaluation mode, and checks the size of its input, which is fixed here.
        warnings.filterwarnings("ignore", message="You are using the legacy TorchScript-based ONNX export")
        warnings.filterwarnings("ignore", message="The feature will be removed", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*but operator 'instance_norm' is set to train=True")
        warnings.filterwarnings("ignore", message="Constant folding - Only steps=1 can be constant folded")
        warnings.filterwarnings("ignore", message="Exporting a model to ONNX with a batch_size other than 1")
        warnings.filterwarnings("ignore", "Converting a tensor to a Python", TracerWarning)
        torch.onnx.export(
            module,
            example,
            buffer,
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=True,
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes={**{name: dict(axes) for name, axes in inputs.items()}, output: dict(output_axes)},
        )
    return onnx.load_from_string(buffer.getvalue())


def completed(
    model: Any, *, fixed: Sequence[int], fields: Mapping[str, object], half_weights: bool, n_dynamic: int = 0
) -> bytes:
    """Return the serialised model with metadata and fixed output sizes, checked by onnx.

    Args:
        model: model returned by :func:`traced`.
        fixed: sizes of the last axes of the output before the dynamic ones.
        fields: metadata.
        half_weights: whether large weights are stored as float16.
        n_dynamic: number of last axes of the output whose size is not fixed.
    """
    import onnx

    if half_weights:
        store_half(model)
    sizes = list(model.graph.output[0].type.tensor_type.shape.dim)
    for dim, size in zip(sizes[len(sizes) - n_dynamic - len(fixed) : len(sizes) - n_dynamic], fixed, strict=True):
        dim.dim_value = size
    onnx.helper.set_model_props(model, {key: str(value) for key, value in fields.items()})
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def run_on_cpu(content: bytes, inputs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Return the only output of a graph, computed by the CPU provider of ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, dict(inputs))[0])


def agreement_db(expected: npt.NDArray[Any], actual: npt.NDArray[Any]) -> float:
    """Return the signal-to-difference ratio in dB."""
    exact = expected.astype(np.float64)
    return float(10.0 * np.log10(np.sum(exact**2) / max(float(np.sum((exact - actual) ** 2)), 1e-30)))


def write_graph(content: bytes, path: Path, *, parity_db: float, expected_db: float = PARITY_DB) -> Exported:
    """Write a graph atomically.

    Raises:
        ValueError: its parity with the torch module is lower than expected.
    """
    if not parity_db >= expected_db:
        raise ValueError(
            f"{path}: the graph agrees with the module to {parity_db:.1f} dB only, expected {expected_db:.1f} dB"
        )
    with written_whole(path) as partial:
        partial.write_bytes(content)
    logger.info("%s: %d bytes, parity %.1f dB", path, len(content), parity_db)
    return Exported(path, hashlib.sha256(content).hexdigest(), len(content), parity_db)
