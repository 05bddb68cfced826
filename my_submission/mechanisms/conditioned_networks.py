"""Conditioned networks from their artefacts, with their runtimes, transforms and source numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from my_submission.engines import Device
from my_submission.engines.conditioned_engine import (
    CONDITIONED_ARCHITECTURES,
    conditioned_onnx_engine,
    conditioned_torch_engine,
    open_conditioned_checkpoint,
)
from my_submission.engines.conditioned_onnx import ConditionedOnnx
from my_submission.engines.onnx_engine import GraphShape
from my_submission.engines.out_of_memory import fitting
from my_submission.errors import WeightsError
from my_submission.geometry import SpectralChunking
from my_submission.mechanisms.options import RunOptions
from my_submission.mechanisms.spectral_networks import OpenedSpectral, whole_stft_of
from my_submission.weights import Artefact, ArtefactGeometry

if TYPE_CHECKING:
    from my_submission.networks.lasaft.framework import FrameworkConfig

STEREO_PARTS = 4
"""Real and imaginary parts of left and right."""


def open_conditioned(
    artefact: Artefact,
    path: Path,
    options: RunOptions,
    *,
    numbers: Sequence[int],
    trim_samples: int,
    overlap_ratio: float = 0.0,
) -> OpenedSpectral:
    """Open a conditioned network for some sources.

    A graph runs on onnxruntime, a checkpoint in torch; a graph cannot be run in half precision.

    Args:
        artefact: its manifest entry.
        path: its file, verified.
        options: device, precision, threads.
        numbers: numbers of the sources to estimate.
        trim_samples: samples dropped at each side of a chunk.
        overlap_ratio: share of a chunk that the next one estimates again.

    Raises:
        WeightsError: the file does not fit its entry, or is not such a network.
        DeviceError: the device cannot be used.
    """
    if artefact.format == "onnx":
        shape = _graph_shape(artefact, path, options)
        chunking = _chunking(artefact, path, shape.bins, shape.frames, trim_samples, overlap_ratio)
        graph = conditioned_onnx_engine(
            path, numbers, stft=chunking.stft, device=options.device, threads=options.threads
        )
        return OpenedSpectral(fitting(graph, options.device, name=artefact.name), chunking)
    separator = open_conditioned_checkpoint(
        path, artefact.architecture, device=options.device, options=artefact.options
    )
    network = separator.config.network
    geometry, frames = geometry_of(artefact, path, separator.config)
    artefact = replace(artefact, geometry=geometry)
    _check_numbers(numbers, network.control_input_dim, path)
    chunking = _chunking(artefact, path, network.bins, frames, trim_samples, overlap_ratio)
    engine = conditioned_torch_engine(
        separator,
        numbers,
        stft=chunking.stft,
        device=options.device,
        precision=options.torch_precision,
        threads=options.threads,
    )
    return OpenedSpectral(fitting(engine, options.device, name=artefact.name), chunking)


def geometry_of(artefact: Artefact, path: Path, config: FrameworkConfig) -> tuple[ArtefactGeometry, int]:
    """Return the transform of a checkpoint, and the frames of a chunk: by the manifest, else by the checkpoint.

    Raises:
        WeightsError: neither states them, they do not fit the network, or they differ in the hop.
    """
    geometry, network = artefact.geometry, config.network
    if geometry is None:
        if config.hop is None:
            hint = 'add "geometry": {"n_fft": …, "hop": …, "frames": …} to its entry in the manifest'
            raise WeightsError(f"a checkpoint does not state the hop of {artefact.name}", where=path, hint=hint)
        geometry = ArtefactGeometry(network.n_fft, config.hop)
    elif config.hop not in {None, geometry.hop}:
        problem = f"the manifest states a hop of {geometry.hop}, and the checkpoint one of {config.hop}"
        raise WeightsError(problem, where=path, hint="correct the manifest")
    frames = geometry.frames or config.frames
    if frames is None:
        problem = f"a checkpoint does not state the number of frames of {artefact.name}"
        raise WeightsError(problem, where=path, hint='add "frames": … to its "geometry" in the manifest')
    if frames % network.frame_multiple:
        problem = f"frames={frames} in the manifest is not a multiple of {network.frame_multiple}"
        raise WeightsError(problem, where=path, hint="correct the manifest")
    return geometry, frames


def _graph_shape(artefact: Artefact, path: Path, options: RunOptions) -> GraphShape:
    if options.spectral_runtime != "onnx":
        problem = (
            f"{artefact.name} is a graph, which runs in fp32 on onnxruntime and not in {options.precision} in torch"
        )
        raise WeightsError(
            problem, where=path, hint="use its checkpoint, or --precision fp32 and the runtime onnx or auto"
        )
    return spectra_of(artefact, path, device=options.device, threads=options.threads)


def is_conditioned(artefact: Artefact) -> bool:
    """Whether an artefact is a network that estimates sources by number."""
    return artefact.architecture in CONDITIONED_ARCHITECTURES


def spectra_of(artefact: Artefact, path: Path, *, device: Device, threads: int | None = None) -> GraphShape:
    """Return the spectra that the graph of a conditioned network takes, checked against its manifest entry.

    Raises:
        WeightsError: it is not such a graph, or not one of the stereo spectra that the manifest states.
        DeviceError: onnxruntime does not give the device.
    """
    shape = ConditionedOnnx.open(path, device=device, threads=threads).shape()
    if shape.channels != STEREO_PARTS:
        problem = f"the graph has {shape.channels} channels, {STEREO_PARTS} are needed for stereo"
        raise WeightsError(problem, where=path, hint="use a network of stereo spectra")
    whole_stft_of(artefact, path, shape.bins)
    return shape


def _check_numbers(numbers: Sequence[int], n_known: int, path: Path) -> None:
    if max(numbers) >= n_known:
        problem = f"the network has {n_known} sources, so there is no source number {max(numbers)}"
        raise WeightsError(problem, where=path, hint="use a network that was trained for them")


def _chunking(
    artefact: Artefact, path: Path, bins: int, frames: int, trim_samples: int, overlap_ratio: float
) -> SpectralChunking:
    """Return transform, frames, trim and overlap."""
    stft = whole_stft_of(artefact, path, bins)
    try:
        return SpectralChunking(stft, frames, trim_samples, overlap_ratio)
    except ValueError as error:
        problem = f"{frames} frames do not fit the recipe ({error})"
        raise WeightsError(problem, where=path, hint="correct hop and frames in the manifest") from error
