"""ONNX export of conditioned networks, whose second input are source numbers; compared with the torch module.

Inputs ``input``, ``float32 [batch, 4, frames, bins]``, and ``source``, ``int64 [sources]``; output ``output``,
``float32 [batch, sources, 4, frames, bins]``. Batch and sources are dynamic. The metadata contains transform and
architecture. The encoder runs once for all sources if the architecture allows it.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from my_submission.engines.conditioned_onnx import OUTPUT, SOURCES_INPUT, SPECTRA_INPUT
from my_submission.networks.lasaft.framework import ConditionedNet
from training.export.graphs import (
    PARITY_DB,
    Exported,
    agreement_db,
    completed,
    in_eval_mode,
    rounded_to_half,
    run_on_cpu,
    traced,
    write_graph,
)

PRECISION_MARGIN_DB = 10.0
"""Margin below the precision of the module itself, because graph and module have independent rounding errors."""


class _EverySource(nn.Module):
    """Module to be traced, whose ``forward`` separates several sources."""

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
    """Write the graph of a conditioned network.

    Args:
        separator: the network; its mode is restored.
        path: the output file.
        hop: hop of the transform, in samples.
        frames: number of frames of the graph.
        architecture: name of the architecture in the metadata and manifest.
        half_weights: as in :func:`training.export.spectral.export`.
        seed: seed of the random spectra for the parity check.

    Raises:
        ValueError: the frames do not fit the network, or graph and module disagree by more than rounding errors.
    """
    network = separator.config.network
    if frames < 1 or frames % network.frame_multiple:
        raise ValueError(f"frames={frames} must be a multiple of {network.frame_multiple}")
    with in_eval_mode(separator):
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
            expected_db = min(PARITY_DB, _precision_db(separator, frames, seed) - PRECISION_MARGIN_DB)
    return write_graph(content, path, parity_db=parity_db, expected_db=expected_db)


def _shape(separator: ConditionedNet, frames: int) -> tuple[int, int, int]:
    """Return the shape of complex stereo spectra, also for networks of magnitudes."""
    return 4, frames, separator.config.network.bins


def _precision_db(separator: ConditionedNet, frames: int, seed: int) -> float:
    """Return the agreement of the module in single precision with itself in double precision."""
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, *_shape(separator, frames))).astype(np.float32))
    sources = torch.arange(separator.config.network.control_input_dim)
    with torch.inference_mode():
        single = separator.separate(x, sources).double()
        exact = copy.deepcopy(separator).double().separate(x.double(), sources)
    return float(10.0 * torch.log10(exact.square().sum() / (exact - single).square().sum()))


def _parity_db(content: bytes, separator: ConditionedNet, frames: int, seed: int) -> float:
    """Return the minimum agreement of graph and module over several batch sizes and numbers of sources."""
    rng = np.random.default_rng(seed)
    ratios = []
    n_known = separator.config.network.control_input_dim
    for n_items, sources in ((1, list(range(n_known))), (3, [n_known - 1])):
        x = rng.normal(size=(n_items, *_shape(separator, frames))).astype(np.float32)
        numbers = np.array(sources, dtype=np.int64)
        with torch.inference_mode():
            expected = separator.separate(torch.from_numpy(x), torch.from_numpy(numbers)).numpy()
        ratios.append(agreement_db(expected, run_on_cpu(content, {SPECTRA_INPUT: x, SOURCES_INPUT: numbers})))
    return min(ratios)
