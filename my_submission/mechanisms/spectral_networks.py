"""Spectral networks from their artefacts, with their runtimes and transforms."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from my_submission.dsp.stft import from_frames
from my_submission.engines import Device, Engine
from my_submission.engines.base import RemarkingEngine
from my_submission.engines.frame_major import FrameMajorOnnx
from my_submission.engines.gpu_arithmetic import checked_spectral
from my_submission.engines.onnx_engine import GraphShape, OnnxEngine
from my_submission.engines.openvino_engine import OpenVinoFrames, bf16_obstacle
from my_submission.engines.out_of_memory import fitting
from my_submission.engines.processors import available_cpus
from my_submission.engines.runtimes import fast_advice
from my_submission.engines.spectral_engine import spectral_engine
from my_submission.engines.torch_engine import TorchEngine, open_torch
from my_submission.engines.validated_engine import ValidatedEngine, loudest_frames
from my_submission.errors import WeightsError
from my_submission.geometry import ReceptiveField, SpectralChunking, StftGeometry
from my_submission.mechanisms.options import RunOptions
from my_submission.weights import Artefact, ArtefactGeometry
from my_submission.weights.content_checks import MDX_NET, has_known_digest
from my_submission.weights.mdx_net_facts import HOP, facts_of

if TYPE_CHECKING:
    from my_submission.networks.tfc_tdf import TfcTdfNet

logger = logging.getLogger(__name__)

STEREO_SPECTRUM_CHANNELS = 4
"""Real and imaginary parts of left and right."""


@dataclass(frozen=True)
class OpenedSpectral:
    """An engine on waveform chunks, and its chunks."""

    engine: Engine
    chunking: SpectralChunking


def open_spectral(artefact: Artefact, path: Path, options: RunOptions) -> OpenedSpectral:
    """Open a spectral network.

    Args:
        artefact: its manifest entry.
        path: its file, verified.
        options: device, runtime, precision, threads.

    Raises:
        WeightsError: the file does not fit its entry, or is not a network that the runtime can run.
        DeviceError: the device cannot be used.
    """
    network: OnnxEngine | TorchEngine
    checked: ValidatedEngine | None = None
    if artefact.format == "onnx" and options.spectral_runtime == "onnx":
        network = _open_graph(artefact, path, options)
        shape = network.shape()
    else:
        network = open_torch(
            path,
            artefact.architecture,
            device=options.device,
            precision=options.torch_precision,
            threads=options.threads,
        )
        shape = _torch_shape(artefact, path, network)
    chunking = replace(chunking_of(artefact, path, shape), reach=_reach_of(network))
    if options.precision == "auto" and isinstance(network, FrameMajorOnnx):
        checked = _with_bf16(artefact.name, path, network, chunking.stft)
    threads = options.threads or available_cpus()
    engine: Engine
    if options.has_checked_gpu and isinstance(network, OnnxEngine | TorchEngine):
        engine = checked_spectral(network, chunking.stft, name=artefact.name)
    else:
        engine = spectral_engine(checked or network, chunking.stft, threads=threads)
        could_be_faster = checked is None and options.precision == "auto" and isinstance(network, FrameMajorOnnx)
        if could_be_faster and (advice := fast_advice()):
            engine = RemarkingEngine(engine, advice)
    return OpenedSpectral(fitting(engine, options.device, name=artefact.name), chunking)


def _with_bf16(name: str, path: Path, network: FrameMajorOnnx, stft: StftGeometry) -> ValidatedEngine | None:
    """Return the network with bfloat16 beside it, to be used if it agrees; None if this machine has no bfloat16."""
    if (obstacle := bf16_obstacle()) is not None:
        logger.debug("%s stays in fp32: %s", name, obstacle)
        return None
    return ValidatedEngine(
        network,
        {"bf16 by OpenVINO": partial(OpenVinoFrames, path, threads=network.threads)},
        excerpt=loudest_frames,
        to_waves=partial(from_frames, geometry=stft),
        name=name,
    )


def _reach_of(network: OnnxEngine | TorchEngine) -> ReceptiveField | None:
    """Return the receptive field of a network; None if it takes one number of frames only.

    On a GPU all chunks stay whole, because planning for a new shape takes longer than the frames it saves.
    """
    if isinstance(network, FrameMajorOnnx):
        return network.reach
    if isinstance(network, TorchEngine) and network.device.kind == "cpu":
        return cast("TfcTdfNet", network.network).config.reach
    return None


def _open_graph(artefact: Artefact, path: Path, options: RunOptions) -> OnnxEngine:
    """Open a graph; on the CPU without its Transposes and with an open time axis, if the graph allows it.

    The log explains why a graph of the user's does not allow it; those of the manifest are as they are.
    """
    if options.device.kind == "cpu":
        try:
            return FrameMajorOnnx.open(path, device=options.device, threads=options.threads)
        except WeightsError as error:
            level = logging.DEBUG if has_known_digest(artefact) else logging.INFO
            logger.log(level, "%s runs as it is stored, with whole chunks only: %s", path.name, error)
    return OnnxEngine.open(path, device=options.device, threads=options.threads)


def chunking_of(artefact: Artefact, path: Path, shape: GraphShape) -> SpectralChunking:
    """Return transform and frames: bins and frames from the file, n_fft and hop from the manifest.

    Raises:
        WeightsError: the network is not one of stereo spectra, or does not fit the manifest.
    """
    if shape.channels != STEREO_SPECTRUM_CHANNELS:
        problem = f"the graph has {shape.channels} channels, {STEREO_SPECTRUM_CHANNELS} are needed for stereo"
        raise WeightsError(problem, where=path, hint="use a network of stereo spectra")
    try:
        return SpectralChunking(stft_of(artefact, path, shape.bins), shape.frames)
    except ValueError as error:
        n_fft = geometry_of(artefact, path).n_fft
        problem = (
            f"the graph keeps {shape.bins} bins and {shape.frames} frames, which does not fit n_fft={n_fft} ({error})"
        )
        raise WeightsError(problem, where=path, hint="give the n_fft and hop that it was trained with") from error


def geometry_of(artefact: Artefact, path: Path) -> ArtefactGeometry:
    """Return the transform that the manifest states, or that is known of a public graph.

    Raises:
        WeightsError: there is neither.
    """
    if artefact.geometry is not None:
        return artefact.geometry
    if artefact.architecture != MDX_NET:
        hint = 'add "geometry": {"n_fft": …, "hop": …} to its entry'
        raise WeightsError(f"the manifest states no n_fft and hop for {artefact.name}", where=path, hint=hint)
    if (facts := facts_of(path)) is None:
        problem = f"{artefact.name} is not a known public graph, so its n_fft is unknown"
        raise WeightsError(problem, where=path, hint="separate with --network FILE and give --n-fft")
    return ArtefactGeometry(facts.n_fft, HOP)


def stft_of(artefact: Artefact, path: Path, kept_bins: int) -> StftGeometry:
    """Return the transform of :func:`geometry_of`, with some of its bins kept.

    Raises:
        WeightsError: it is not known.
    """
    return geometry_of(artefact, path).with_kept_bins(kept_bins)


def whole_stft_of(artefact: Artefact, path: Path, bins: int) -> StftGeometry:
    """Return the transform that the manifest states, for a network of ``bins`` bins that takes all of them.

    Raises:
        WeightsError: the manifest states none, or one of another number of bins.
    """
    stft = stft_of(artefact, path, 1)
    if bins != stft.n_bins:
        problem = f"the network has {bins} bins, which does not fit n_fft={stft.n_fft} of the manifest"
        raise WeightsError(problem, where=path, hint="correct n_fft in the manifest")
    return replace(stft, kept_bins=bins)


def _torch_shape(artefact: Artefact, path: Path, network: TorchEngine) -> GraphShape:
    """Return the shape of a network in torch: frames from its graph, or from the manifest for a state dict."""
    if artefact.format == "onnx":
        return OnnxEngine(path, device=Device("cpu"), threads=1).shape()
    config = cast("TfcTdfNet", network.network).config
    if artefact.geometry is None or artefact.geometry.frames is None:
        problem = f"a state dict does not state the number of frames of {artefact.name}"
        raise WeightsError(problem, where=path, hint='add "frames": … to its "geometry" in the manifest')
    if artefact.geometry.frames % config.frame_multiple:
        problem = f"frames={artefact.geometry.frames} in the manifest is not a multiple of {config.frame_multiple}"
        raise WeightsError(problem, where=path, hint="correct the manifest")
    return GraphShape(config.channels, config.bins, artefact.geometry.frames)
