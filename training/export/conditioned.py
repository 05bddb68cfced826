"""ONNX export of a conditioned network: source numbers as a second input, checked against torch before it counts.

Inputs ``input``, ``float32 [batch, 4, frames, bins]``, and ``source``, ``int64 [sources]``; output ``output``,
``float32 [batch, sources, 4, frames, bins]``. Batch and sources are dynamic. Transform and architecture stand in the
file's metadata. The encoder runs once for all sources where the architecture allows it.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from my_submission.engines.conditioned_onnx import OUTPUT, SOURCES_INPUT, SPECTRA_INPUT
from my_submission.networks.lasaft.framework import ConditionedNet
from training.export.graphs import PARITY_DB, Exported, agreement_db, completed, rounded_to_half, traced, write_graph

OWN_MARGIN_DB = 10.0
"""Two roundings of a badly conditioned network differ by more than each does from the exact result."""


class _EverySource(nn.Module):
    """What is traced: ``forward`` is the separation of several sources."""

    def __init__(self, separator: ConditionedNet) -> None:
        super().__init__()
        self.separator = separator

    def forward(self, x: Tensor, sources: Tensor) -> Tensor:
        return self.separator.separate(x, sources)


def export_conditioned(
    separator: ConditionedNet,
    path: Path,
    *,
    hop: int,
    frames: int,
    architecture: str,
    half_weights: bool = False,
    seed: int = 0,
) -> Exported:
    """Write ``path`` in one step and return what was written.

    Args:
        separator: the network; it is evaluated in ``eval`` mode and left as it was.
        path: the file to write.
        hop: of the transform, in samples.
        frames: the graph is fixed to.
        architecture: for the metadata, the manifest's word for it.
        half_weights: as in :func:`training.export.tfc_tdf.export`; the module's own weights are rounded.
        seed: of the random spectra that parity is measured with.

    Raises:
        ValueError: the frames do not fit the network, or graph and module disagree by more than their rounding.
    """
    network = separator.config.network
    if frames < 1 or frames % network.frame_multiple:
        raise ValueError(f"frames={frames} must be a multiple of {network.frame_multiple}")
    was_training = separator.training
    separator.eval()
    if half_weights:
        rounded_to_half(separator)
    shape = _shape(separator, frames)
    model = traced(
        _EverySource(separator).eval(),
        (torch.zeros(2, *shape), torch.tensor([0, 1, 0])),
        inputs={SPECTRA_INPUT: {0: "batch"}, SOURCES_INPUT: {0: "sources"}},
        output=OUTPUT,
        output_axes={0: "batch", 1: "sources"},
    )
    fields = {"n_fft": network.n_fft, "hop": hop, "architecture": architecture}
    content = completed(model, fixed=shape, fields=fields, half_weights=half_weights)
    parity_db = _parity_db(content, separator, frames, seed)
    expected_db = PARITY_DB
    if parity_db < PARITY_DB:
        expected_db = min(PARITY_DB, _own_db(separator, frames, seed) - OWN_MARGIN_DB)
    separator.train(was_training)
    return write_graph(content, path, parity_db=parity_db, expected_db=expected_db)


def _shape(separator: ConditionedNet, frames: int) -> tuple[int, int, int]:
    """Complex stereo spectra, whatever of them the network sees."""
    return 4, frames, separator.config.network.bins


def _own_db(separator: ConditionedNet, frames: int, seed: int) -> float:
    """How near the module in single precision is to itself in double: no graph can be expected to be nearer."""
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, *_shape(separator, frames))).astype(np.float32))
    sources = torch.arange(separator.config.network.control_input_dim)
    with torch.inference_mode():
        single = separator.separate(x, sources).double()
        exact = copy.deepcopy(separator).double().separate(x.double(), sources)
    return float(10.0 * torch.log10(exact.square().sum() / (exact - single).square().sum()))


def _parity_db(content: bytes, separator: ConditionedNet, frames: int, seed: int) -> float:
    """Least signal-to-difference ratio of graph and module, over batches and choices of sources of several sizes."""
    import onnxruntime

    rng = np.random.default_rng(seed)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    ratios = []
    n_known = separator.config.network.control_input_dim
    for n_items, sources in ((1, list(range(n_known))), (3, [n_known - 1])):
        x = rng.normal(size=(n_items, *_shape(separator, frames))).astype(np.float32)
        numbers = np.array(sources, dtype=np.int64)
        with torch.inference_mode():
            expected = separator.separate(torch.from_numpy(x), torch.from_numpy(numbers)).numpy()
        (actual,) = session.run([OUTPUT], {SPECTRA_INPUT: x, SOURCES_INPUT: numbers})
        ratios.append(agreement_db(expected, actual))
    return min(ratios)
