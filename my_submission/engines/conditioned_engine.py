"""Conditioned networks as engines: waveform chunks in, one waveform a source out.

Which sources is settled when an engine is made, so that it keeps the contract of every other engine: one batch in,
one batch out. float32 (batch, 2, samples) goes to (batch, sources, 2, samples), samples = hop · (frames − 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from my_submission.dsp.stft import from_part_major, to_part_major
from my_submission.engines.base import Batch, Engine
from my_submission.engines.conditioned_onnx import FixedSourcesOnnx, open_conditioned_onnx
from my_submission.engines.devices import Device
from my_submission.engines.torch_engine import Precision, TorchEngine
from my_submission.errors import MdxError
from my_submission.geometry import StftGeometry

if TYPE_CHECKING:
    from my_submission.networks.lasaft.config import Activation
    from my_submission.networks.lasaft.framework import ConditionedNet

CHECKPOINT_ACTIVATIONS: dict[str, Activation] = {
    "lasaft": "relu",
    "lasaft-v2": "relu",
    "lasaft-v2-leaky": "leaky_relu",
}
"""Architectures of the manifest to what no checkpoint of theirs tells: the activation inside the blocks."""

CONDITIONED_ARCHITECTURES = frozenset({*CHECKPOINT_ACTIVATIONS, "gated-tfc-tdf"})
"""Architectures of the manifest that are conditioned networks; those without an activation are graphs only."""


class ConditionedEngine:
    """Transforms on the CPU around any engine that maps spectra (n, 4, T, F) to (n, sources, 4, T, F)."""

    def __init__(self, network: Engine, stft: StftGeometry) -> None:
        self.network = network
        self.stft = stft

    @property
    def runs_on(self) -> str:
        """Where the network runs."""
        return self.network.runs_on

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Separate chunks."""
        return from_part_major(self.network.run(to_part_major(batch, self.stft), is_last=is_last), self.stft)


def conditioned_onnx_engine(
    path: Path, sources: Sequence[int], *, stft: StftGeometry, device: Device, threads: int | None = None
) -> Engine:
    """The engine of a graph; its session is shared by all choices of sources.

    Raises:
        WeightsError: the file is no graph of spectra and source numbers, or its bins are not those of ``stft``.
        DeviceError: onnxruntime does not give the device that was asked for.
    """
    graph = open_conditioned_onnx(path, device=device, threads=threads)
    return ConditionedEngine(FixedSourcesOnnx(graph, sources), stft)


def conditioned_torch_engine(
    separator: ConditionedNet,
    sources: Sequence[int],
    *,
    stft: StftGeometry,
    device: Device,
    precision: Precision = "fp32",
    threads: int | None = None,
) -> Engine:
    """The engine of a network in torch; on a GPU the transforms run there too, and only waveforms are moved.

    Raises:
        DeviceError: torch cannot use the device.
    """
    from my_submission.networks.lasaft.waveforms import FixedSources, FixedSourcesOfWaves

    if device.kind == "cuda":
        whole = FixedSourcesOfWaves(separator, sources, stft)
        return TorchEngine(whole, device=device, precision=precision, threads=threads)
    network = TorchEngine(FixedSources(separator, sources), device=device, precision=precision, threads=threads)
    return ConditionedEngine(network, stft)


@lru_cache(maxsize=8)
def _opened(path: Path, modified_ns: int, architecture: str, device: Device) -> ConditionedNet:
    from my_submission.networks.lasaft.weights import from_checkpoint

    return from_checkpoint(path, act=CHECKPOINT_ACTIVATIONS[architecture])


def open_conditioned_checkpoint(path: Path, architecture: str, *, device: Device) -> ConditionedNet:
    """The network of a checkpoint, one for every device: the same for the life of the process while the file stays.

    Args:
        path: the checkpoint.
        architecture: by the manifest.
        device: where engines will move it.

    Raises:
        MdxError: no loader is known for the architecture.
        WeightsError: the checkpoint does not fit it, is damaged, or holds code.
    """
    if architecture not in CHECKPOINT_ACTIVATIONS:
        raise MdxError(f"no conditioned network is known for the architecture {architecture!r}", where=path)
    real = path.resolve()
    return _opened(real, real.stat().st_mtime_ns, architecture, device)
