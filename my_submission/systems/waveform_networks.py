"""Waveform networks from their artefacts: which runtime runs them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from my_submission.engines import Engine
from my_submission.engines.demucs_onnx import open_demucs
from my_submission.engines.torch_engine import open_torch
from my_submission.systems.options import RunOptions
from my_submission.weights import Artefact, is_legacy_torch_file

if TYPE_CHECKING:
    from my_submission.networks.demucs import Demucs

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WaveformNetwork:
    """An engine from mixtures to stems, and how many samples it needs to hear for a segment of so many."""

    engine: Engine
    valid_length: Callable[[int], int]


def open_waveform(artefact: Artefact, path: Path, options: RunOptions) -> WaveformNetwork:
    """Open a waveform network: level by level on onnxruntime's CPU provider, elsewhere in torch.

    Args:
        artefact: its manifest entry.
        path: its file, verified.
        options: device, runtime, precision, threads.

    Raises:
        WeightsError: the file is damaged or not a network of its architecture.
        DeviceError: the device cannot be used.
    """
    is_for_graphs = options.device.kind == "cpu" and options.spectral_runtime == "onnx"
    if is_for_graphs and artefact.architecture == "demucs-v2":
        if not is_legacy_torch_file(path):
            engine = open_demucs(path, threads=options.threads)
            return WaveformNetwork(engine, engine.config.valid_length)
        logger.info("%s runs in torch, which alone reads its old format", path.name)
    network = open_torch(
        path,
        artefact.architecture,
        device=options.device,
        precision=options.torch_precision,
        threads=options.threads,
    )
    return WaveformNetwork(network, cast("Demucs", network.network).config.valid_length)
