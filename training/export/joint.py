"""ONNX export of a joint network: all sources in one output, checked against torch before it counts.

Input ``input``, ``float32 [batch, 4, bins, frames]``, the spectrum of what is taken apart; output ``output``,
``float32 [batch, sources, 4, bins, frames]``. Channels are L.re, L.im, R.re, R.im, bins are the lowest ones of the
transform, only the batch is dynamic. The file's metadata holds ``n_fft``, ``hop``, ``architecture`` and ``sources``,
the names in the order of the output, separated by commas. The input minus the sum of all sources is what none claims.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from my_submission.geometry import SpectralChunking
from my_submission.networks.joint_tfc_tdf import JointNet
from my_submission.networks.tfc_tdf import SPECTRUM_CHANNELS
from training.export.graphs import Exported, agreement_db, completed, rounded_to_half, traced, write_graph

INPUT = "input"
OUTPUT = "output"
ARCHITECTURE = "joint-tfc-tdf"


def export_joint(
    net: JointNet,
    chunking: SpectralChunking,
    sources: Sequence[str],
    path: Path,
    *,
    half_weights: bool = False,
    seed: int = 0,
) -> Exported:
    """Writes ``path`` in one step and returns what was written.

    Args:
        net: the network; it is evaluated in ``eval`` mode and left as it was.
        chunking: transform and frame count the graph is fixed to.
        sources: names of its targets, in order.
        path: the file to write.
        half_weights: as in :func:`training.export.tfc_tdf.export`; the network's own weights are rounded.
        seed: of the random spectra that parity is measured with.

    Raises:
        ValueError: the names are not as many as the targets, or graph and module disagree.
    """
    if len(sources) != net.config.targets:
        raise ValueError(f"the network predicts {net.config.targets} sources, not {', '.join(sources)}")
    was_training = net.training
    net.eval()
    if half_weights:
        rounded_to_half(net)
    shape = SPECTRUM_CHANNELS, chunking.stft.kept_bins, chunking.frames
    fields = {
        "n_fft": chunking.stft.n_fft,
        "hop": chunking.stft.hop,
        "architecture": ARCHITECTURE,
        "sources": ",".join(sources),
    }
    open_batch = {0: "batch"}
    model = traced(net, (torch.zeros(1, *shape),), inputs={INPUT: open_batch}, output=OUTPUT, output_axes=open_batch)
    content = completed(model, fixed=(len(sources), *shape), fields=fields, half_weights=half_weights)
    parity_db = _parity_db(content, net, shape, seed)
    net.train(was_training)
    return write_graph(content, path, parity_db=parity_db)


def _parity_db(content: bytes, net: JointNet, shape: tuple[int, int, int], seed: int) -> float:
    """Signal-to-difference ratio of graph and module on random spectra of two items."""
    import onnxruntime

    x = np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (actual,) = session.run([OUTPUT], {INPUT: x})
    return agreement_db(expected, actual)
