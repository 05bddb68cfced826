"""Conditioned networks as engines of waveforms.

The sources are fixed when an engine is made: float32 (batch, 2, samples) goes to (batch, sources, 2, samples),
samples = hop · (frames − 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from my_submission.dsp.stft import from_part_major, to_part_major
from my_submission.engines.base import Engine, Precision, open_once
from my_submission.engines.conditioned_onnx import ConditionedOnnx, FixedSourcesOnnx
from my_submission.engines.devices import Device
from my_submission.engines.spectral_engine import HostSpectralEngine
from my_submission.engines.torch_engine import TorchEngine
from my_submission.errors import MdxError, WeightsError
from my_submission.geometry import StftGeometry
from my_submission.weights.manifest import OptionValue

if TYPE_CHECKING:
    from my_submission.networks.lasaft.framework import ConditionedNet

_LEAKY = ("first_conv_activation", "tfc_tdf_activation", "downsampling_activation", "upsampling_activation")

_IMPLIED: Mapping[str, Mapping[str, OptionValue]] = {
    "lasaft": {},
    "lasaft-v2": {},
    "lasaft-v2-leaky": {
        **dict.fromkeys(_LEAKY, "leaky_relu"),
        "last_activation": "identity",
        "spec_est_mode": "mapping",
    },
}
"""Architecture of checkpoints to the options that its name implies; the last one is the published light network."""

CONDITIONED_ARCHITECTURES = frozenset({*_IMPLIED, "gated-tfc-tdf"})
"""Architectures of conditioned networks; the last one has graphs only."""


def conditioned_onnx_engine(
    path: Path, sources: Sequence[int], *, stft: StftGeometry, device: Device, threads: int | None = None
) -> Engine:
    """Return the engine of a graph; its session is shared by all choices of sources.

    Raises:
        WeightsError: the file is not a graph of spectra and source numbers, or its bins are not those of ``stft``.
        DeviceError: onnxruntime cannot use the device.
    """
    graph = ConditionedOnnx.open(path, device=device, threads=threads)
    return _on_host(FixedSourcesOnnx(graph, sources), stft)


def conditioned_torch_engine(
    separator: ConditionedNet,
    sources: Sequence[int],
    *,
    stft: StftGeometry,
    device: Device,
    precision: Precision = "fp32",
    threads: int | None = None,
) -> Engine:
    """Return the engine of a network in torch; on a GPU the transforms run there too, and only waveforms are copied.

    Raises:
        DeviceError: torch cannot use the device.
    """
    from my_submission.networks.lasaft.waveforms import FixedSources, FixedSourcesOfWaves

    if device.kind == "cuda":
        whole = FixedSourcesOfWaves(separator, sources, stft)
        return TorchEngine(whole, device=device, precision=precision, threads=threads)
    network = TorchEngine(FixedSources(separator, sources), device=device, precision=precision, threads=threads)
    return _on_host(network, stft)


def _on_host(network: Engine, stft: StftGeometry) -> Engine:
    return HostSpectralEngine(network, stft, to_spectra=to_part_major, to_waves=from_part_major)


def open_conditioned_checkpoint(
    path: Path, architecture: str, *, device: Device, options: Mapping[str, OptionValue] | None = None
) -> ConditionedNet:
    """Return the network of a checkpoint, opened once per device.

    Args:
        path: the checkpoint.
        architecture: architecture by the manifest.
        device: the device that engines will move it to.
        options: options of its training by the manifest, as far as the checkpoint does not state them.

    Raises:
        MdxError: no loader is known for the architecture.
        WeightsError: the checkpoint does not fit it, is damaged, or contains code, or its options are not known.
    """
    if architecture not in _IMPLIED:
        raise MdxError(f"no conditioned network is known for the architecture {architecture!r}", where=path)
    known = tuple(sorted({**_IMPLIED[architecture], **(options or {})}.items()))
    return open_once(_from_checkpoint, path, architecture=architecture, options=known, device=device)


def _from_checkpoint(
    path: Path, *, architecture: str, options: tuple[tuple[str, OptionValue], ...], device: Device
) -> ConditionedNet:
    from my_submission.networks.lasaft.config import LasaftV2Config
    from my_submission.networks.lasaft.weights import from_checkpoint

    separator = from_checkpoint(path, manifest=dict(options))
    is_v2 = isinstance(separator.config.network, LasaftV2Config)
    if is_v2 != architecture.startswith("lasaft-v2"):
        found = "lasaft-v2" if is_v2 else "lasaft"
        problem = f"the architecture is {architecture}, and the weights are those of a {found}"
        raise WeightsError(problem, where=path, hint="correct the manifest")
    return separator
