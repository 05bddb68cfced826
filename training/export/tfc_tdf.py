"""ONNX export of a trained network: the published contract, checked against torch before it counts.

Input ``input`` and output ``output``, ``float32 [batch_size, 4, bins, frames]``, only the batch
dynamic, weights embedded, the transform's geometry and the target in the file's metadata.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from my_submission.geometry import SpectralChunking
from my_submission.networks.tfc_tdf import TfcTdfNet
from training.export.graphs import Exported, agreement_db, completed, rounded_to_half, traced, write_graph

INPUT = "input"
OUTPUT = "output"


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
    if net.config.targets != 1:
        raise ValueError(f"the network predicts {net.config.targets} targets; select one before export")
    was_training = net.training
    net.eval()
    if half_weights:
        rounded_to_half(net)
    fields = {"n_fft": chunking.stft.n_fft, "hop": chunking.stft.hop, "target": target, "architecture": "tfc-tdf"}
    shape = net.config.channels, chunking.stft.kept_bins, chunking.frames
    open_batch = {0: "batch_size"}
    model = traced(net, (torch.zeros(1, *shape),), inputs={INPUT: open_batch}, output=OUTPUT, output_axes=open_batch)
    content = completed(model, fixed=shape, fields=fields, half_weights=half_weights)
    parity_db = _parity_db(content, net, shape, seed)
    net.train(was_training)
    return write_graph(content, path, parity_db=parity_db)


def _parity_db(content: bytes, net: TfcTdfNet, shape: tuple[int, int, int], seed: int) -> float:
    """Signal-to-difference ratio of graph and module on random spectra of two items."""
    import onnxruntime

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, *shape)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (actual,) = session.run([OUTPUT], {INPUT: x})
    return agreement_db(expected, actual)
