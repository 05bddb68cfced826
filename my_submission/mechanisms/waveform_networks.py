"""Waveform networks from their artefacts, with their runtimes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from my_submission.engines import Engine
from my_submission.engines.demucs_engine import DemucsEngine, open_demucs
from my_submission.engines.gpu_arithmetic import checked_waveform
from my_submission.engines.out_of_memory import fitting
from my_submission.engines.segment_batches import SegmentBatches
from my_submission.engines.torch_engine import open_torch
from my_submission.engines.validated_demucs import ValidatedDemucs, rounding_obstacle
from my_submission.engines.waveform_onnx import WaveformGraph
from my_submission.errors import WeightsError
from my_submission.geometry import SAMPLE_RATE
from my_submission.mechanisms.options import RunOptions
from my_submission.weights import Artefact

if TYPE_CHECKING:
    from my_submission.networks.demucs import Demucs
    from my_submission.networks.hybrid_demucs import HybridDemucs

logger = logging.getLogger(__name__)


HYBRID_DEMUCS = "hybrid-demucs"

SEGMENT_BYTES_PER_SAMPLE = 700
"""A 40 s segment of the published Demucs v2 needs some 1.2 GB beside its weights; narrower networks need less. Three
together need half a gigabyte more, which the LSTM's weights, freed by then, make up for."""

HYBRID_BYTES_PER_SAMPLE = 1_600
"""Ten seconds of the published 64 channels need 0.67 GB beside the weights in stereo, 0.54 GB in mono."""


EXCERPT_SAMPLES = 2 * SAMPLE_RATE
"""Length of the excerpt on which a faster arithmetic is compared: two seconds."""


@dataclass(frozen=True)
class OpenedWaveform:
    """An engine from mixtures to stems.

    Attributes:
        engine: maps float32 (batch, channels, n) to (batch, sources, channels, n').
        valid_length: maps the samples of a segment to the input samples that it needs.
        bytes_per_sample: working memory per sample of a segment.
    """

    engine: Engine
    valid_length: Callable[[int], int]
    bytes_per_sample: int = SEGMENT_BYTES_PER_SAMPLE


def open_waveform(
    artefact: Artefact, path: Path, options: RunOptions, *, rows: int, channels: int = 2
) -> OpenedWaveform:
    """Open a waveform network: Demucs v2 level by level on onnxruntime's CPU provider, all others in torch.

    Args:
        artefact: its manifest entry.
        path: its file, verified.
        options: device, runtime, precision, threads.
        rows: sources that the network must give.
        channels: channels that it must take.

    Raises:
        WeightsError: the file is damaged, not a network of its architecture, or of other sources or channels.
        DeviceError: the device cannot be used.
    """
    if artefact.format == "onnx":
        graph = _open_graph(artefact, path, options)
        _check_rows((graph.n_sources, graph.n_channels), artefact, path, rows, channels)
        return OpenedWaveform(graph, graph.valid_length)
    is_for_graphs = options.device.kind == "cpu" and options.spectral_runtime == "onnx"
    if is_for_graphs and artefact.architecture == "demucs-v2":
        demucs = open_demucs(path, threads=options.threads)
        return OpenedWaveform(_with_rounding(demucs, artefact, options), demucs.config.valid_length)
    network = open_torch(
        path,
        artefact.architecture,
        device=options.device,
        precision=options.torch_precision,
        threads=options.threads,
    )
    valid_length, bytes_per_sample = _any_length, HYBRID_BYTES_PER_SAMPLE
    if artefact.architecture == HYBRID_DEMUCS:
        config = cast("HybridDemucs", network.network).config
        _check_rows((config.sources, config.audio_channels), artefact, path, rows, channels)
    else:
        valid_length, bytes_per_sample = cast("Demucs", network.network).config.valid_length, SEGMENT_BYTES_PER_SAMPLE
    chosen: Engine = network
    if options.has_checked_gpu:
        chosen = checked_waveform(network, excerpt_samples=valid_length(EXCERPT_SAMPLES), name=artefact.name)
    if options.device.kind == "cuda":
        chosen = SegmentBatches(fitting(chosen, options.device, name=artefact.name))
    return OpenedWaveform(chosen, valid_length, bytes_per_sample)


def _with_rounding(demucs: DemucsEngine, artefact: Artefact, options: RunOptions) -> Engine:
    """Return the network and a copy with 8-bit recurrent weights, which is used if it agrees with fp32."""
    if options.precision != "auto":
        return demucs
    if (obstacle := rounding_obstacle()) is not None:
        logger.debug("%s stays in fp32: %s", artefact.name, obstacle)
        return demucs
    return ValidatedDemucs(demucs, excerpt_samples=demucs.config.valid_length(EXCERPT_SAMPLES), name=artefact.name)


def _any_length(samples: int) -> int:
    return samples


def _open_graph(artefact: Artefact, path: Path, options: RunOptions) -> WaveformGraph:
    """Return the graph of a waveform network; WeightsError if another runtime or precision is asked for."""
    if options.spectral_runtime != "onnx":
        hint = "leave --runtime and --precision at auto, or use its checkpoint"
        raise WeightsError(f"{artefact.name} is a graph and runs in fp32 on onnxruntime alone", where=path, hint=hint)
    return WaveformGraph.open(path, device=options.device, threads=options.threads)


def _check_rows(found: tuple[int, int], artefact: Artefact, path: Path, rows: int, channels: int) -> None:
    """Raise WeightsError unless a network has as many sources and channels as its place needs."""
    if found != (rows, channels):
        problem = f"{artefact.name} must have {rows} sources and {channels} channels, this network has {found}"
        raise WeightsError(problem, where=path, hint="put the checkpoint of this name there")
