"""ONNX export of a trained network: the published contract, checked against torch before it counts.

Input ``input`` and output ``output``, ``float32 [batch_size, 4, bins, frames]``, only the batch
dynamic, weights embedded, the transform's geometry and the target in the file's metadata.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.jit._trace import TracerWarning

from my_submission.geometry import SpectralChunking
from my_submission.networks.tfc_tdf import TfcTdfNet

logger = logging.getLogger(__name__)

OPSET = 17
PARITY_DB = 100.0
"""Least signal-to-difference ratio between the graph and the torch module with the same weights."""

HALF_SMALLEST = 256
"""Initialisers with fewer values stay in single precision: they are norms, biases and constants."""


@dataclass(frozen=True)
class Exported:
    """What was written: where, its content, its parity with torch."""

    path: Path
    sha256: str
    n_bytes: int
    parity_db: float


def rounded_to_half(net: nn.Module) -> None:
    """Rounds in place the weights that ``half_weights`` would store in half precision."""
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.numel() >= HALF_SMALLEST:
                parameter.copy_(parameter.half().float())


def export(
    net: TfcTdfNet, chunking: SpectralChunking, target: str, path: Path, *, half_weights: bool = False, seed: int = 0
) -> Exported:
    """Writes ``path`` in one step and returns what was written.

    Args:
        net: the network, predicting one target; it is evaluated in ``eval`` mode and left as it was.
        chunking: transform and frame count the graph is fixed to.
        target: source name for the metadata.
        path: the file to write.
        half_weights: store large weights as float16 behind a Cast; the arithmetic stays float32 and
            the parity is taken against the network with the rounded weights.
        seed: of the random spectrum that parity is measured with.

    Raises:
        ValueError: the network predicts several targets, or graph and module disagree.
    """
    import onnx

    if net.config.targets != 1:
        raise ValueError(f"the network predicts {net.config.targets} targets; select one before export")
    was_training = net.training
    net.eval()
    if half_weights:
        rounded_to_half(net)
    model = onnx.load_from_string(_traced(net, chunking))
    if half_weights:
        store_half(model)
    for dim, size in zip(
        model.graph.output[0].type.tensor_type.shape.dim[1:], _fixed_shape(net, chunking), strict=True
    ):
        dim.dim_value = size
    fields = {
        "n_fft": str(chunking.stft.n_fft),
        "hop": str(chunking.stft.hop),
        "target": target,
        "architecture": "tfc-tdf",
    }
    onnx.helper.set_model_props(model, fields)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    parity_db = _parity_db(content, net, chunking, seed)
    net.train(was_training)
    if parity_db < PARITY_DB:
        raise ValueError(f"{path}: the graph is {parity_db:.1f} dB from the module, expected {PARITY_DB} dB")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
    logger.info("%s: %d bytes, parity %.1f dB", path, len(content), parity_db)
    return Exported(path, hashlib.sha256(content).hexdigest(), len(content), parity_db)


def _fixed_shape(net: TfcTdfNet, chunking: SpectralChunking) -> tuple[int, int, int]:
    return net.config.channels, chunking.stft.kept_bins, chunking.frames


def _traced(net: TfcTdfNet, chunking: SpectralChunking) -> bytes:
    """The graph of torch's TorchScript exporter, constants folded."""
    example = torch.zeros(1, *_fixed_shape(net, chunking))
    buffer: Any = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that needs no extra package announces its retirement. Instance normalisation has no
        # evaluation mode, which is the point of it, and checks its input's size, which is fixed here.
        warnings.filterwarnings("ignore", message="You are using the legacy TorchScript-based ONNX export")
        warnings.filterwarnings("ignore", message="The feature will be removed", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*but operator 'instance_norm' is set to train=True")
        warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean", TracerWarning)
        torch.onnx.export(
            net,
            (example,),
            buffer,
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=True,
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": {0: "batch_size"}, "output": {0: "batch_size"}},
        )
    return bytes(buffer.getvalue())


def store_half(model: Any) -> None:
    """Replaces large float32 initialisers by float16 ones that a Cast brings back at load."""
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


def _parity_db(content: bytes, net: TfcTdfNet, chunking: SpectralChunking, seed: int) -> float:
    """Signal-to-difference ratio of graph and module on random spectra of two items."""
    import onnxruntime

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, net.config.channels, chunking.stft.kept_bins, chunking.frames)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy().astype(np.float64)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (actual,) = session.run(["output"], {"input": x})
    error = np.sum((expected - actual) ** 2)
    return float(10.0 * np.log10(np.sum(expected**2) / max(error, 1e-30)))
