"""ONNX export of networks from spectra to spectra: one graph per target, or one joint graph of several sources.

Input ``input``, ``float32 [batch, 4, bins, frames]``: the lowest bins of the mixture's spectrum, channels L.re, L.im,
R.re, R.im. Output ``output``: of the same shape for one target, ``float32 [batch, sources, 4, bins, frames]`` for a
joint graph. Only the batch is dynamic. The metadata contains ``n_fft``, ``hop``, ``architecture`` and ``target``, or
``sources``, the comma-separated names in the order of the output. Every graph is compared with the torch module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from my_submission.engines.joint_onnx import ARCHITECTURE as JOINT_ARCHITECTURE
from my_submission.geometry import SpectralChunking
from my_submission.networks.joint_tfc_tdf import JointNet
from my_submission.networks.tfc_tdf import SPECTRUM_CHANNELS, TfcTdfNet
from training.export.graphs import (
    Exported,
    agreement_db,
    completed,
    in_eval_mode,
    rounded_to_half,
    run_on_cpu,
    traced,
    write_graph,
)

INPUT = "input"
OUTPUT = "output"


def export(
    net: TfcTdfNet, chunking: SpectralChunking, target: str, path: Path, *, half_weights: bool = False, seed: int = 0
) -> Exported:
    """Write the graph of a network of one target.

    Args:
        net: the network; its mode is restored.
        chunking: transform and number of frames of the graph.
        target: source name for the metadata.
        path: the output file.
        half_weights: store large weights as float16 behind a Cast. Arithmetic stays float32. The weights of ``net``
            are rounded too, and parity is measured against them.
        seed: seed of the random spectra for the parity check.

    Raises:
        ValueError: the network predicts several targets, or graph and module disagree.
    """
    if net.config.targets != 1:
        raise ValueError(f"the network predicts {net.config.targets} targets; select one before export")
    fields = {"target": target, "architecture": "tfc-tdf"}
    return _export(net, chunking, fields, path, (), batch_axis="batch_size", half_weights=half_weights, seed=seed)


def export_joint(
    net: JointNet,
    chunking: SpectralChunking,
    sources: Sequence[str],
    path: Path,
    *,
    half_weights: bool = False,
    seed: int = 0,
) -> Exported:
    """Write the graph of a joint network; the arguments are those of :func:`export`.

    Raises:
        ValueError: the number of names is not that of the targets, or graph and module disagree.
    """
    if len(sources) != net.config.targets:
        raise ValueError(f"the network predicts {net.config.targets} sources, not {', '.join(sources)}")
    fields = {"architecture": JOINT_ARCHITECTURE, "sources": ",".join(sources)}
    stacked = (len(sources),)
    return _export(net, chunking, fields, path, stacked, batch_axis="batch", half_weights=half_weights, seed=seed)


def _export(
    net: TfcTdfNet | JointNet,
    chunking: SpectralChunking,
    fields: Mapping[str, str],
    path: Path,
    stacked: tuple[int, ...],
    *,
    batch_axis: str,
    half_weights: bool,
    seed: int,
) -> Exported:
    shape = SPECTRUM_CHANNELS, chunking.stft.kept_bins, chunking.frames
    axes = {0: batch_axis}
    with in_eval_mode(net):
        if half_weights:
            rounded_to_half(net)
        model = traced(net, (torch.zeros(1, *shape),), inputs={INPUT: axes}, output=OUTPUT, output_axes=axes)
        all_fields = {"n_fft": chunking.stft.n_fft, "hop": chunking.stft.hop, **fields}
        content = completed(model, fixed=(*stacked, *shape), fields=all_fields, half_weights=half_weights)
        x = np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32)
        with torch.no_grad():
            expected = net(torch.from_numpy(x)).numpy()
        parity_db = agreement_db(expected, run_on_cpu(content, {INPUT: x}))
    return write_graph(content, path, parity_db=parity_db)
