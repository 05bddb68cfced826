"""Waveform chunks through a spectral network: transform, network, inverse transform as one engine.

On the CPU the transforms are those of ``dsp``; on a GPU they are torch's and the spectra never leave the device.
Both map float32 (batch, 2, samples) to the same shape, samples = hop · (frames − 1).
"""

from __future__ import annotations

import contextlib
from typing import Any, cast

import numpy as np

from my_submission.dsp.stft import from_channels, from_frames, to_channels, to_frames
from my_submission.engines.base import Batch, Engine
from my_submission.engines.device_memory import give_back_cache
from my_submission.engines.devices import explained
from my_submission.engines.frame_major import FrameMajorOnnx
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.engines.out_of_memory import OutOfMemorySplitter
from my_submission.engines.torch_engine import TorchEngine
from my_submission.engines.validated_engine import ValidatedEngine
from my_submission.errors import DeviceError, DeviceMemoryError
from my_submission.geometry import StftGeometry

MAX_FILLED = 1.25
"""A batch becomes at most so many times larger by silence: planning allows a unit to take that much longer."""


class HostSpectralEngine:
    """Transforms on the CPU around any engine of spectra."""

    def __init__(self, network: Engine, stft: StftGeometry) -> None:
        self.network = network
        self.stft = stft

    @property
    def runs_on(self) -> str:
        """Where the network runs."""
        return self.network.runs_on

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Separate chunks."""
        return from_channels(self.network.run(to_channels(batch, self.stft), is_last=is_last), self.stft)


class FrameSpectralEngine:
    """Transforms on the CPU around any engine of spectra that takes frames before bins.

    Args:
        network: maps float32 (batch, 4, frames, bins) to the same shape, for any legal number of frames.
        stft: its transform.
        workers: threads of the transforms.
    """

    def __init__(self, network: Engine, stft: StftGeometry, *, workers: int) -> None:
        self.network = network
        self.stft = stft
        self.workers = workers

    @property
    def runs_on(self) -> str:
        """Where the network runs."""
        return self.network.runs_on

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Separate chunks of hop · (frames − 1) samples."""
        mapped = self.network.run(to_frames(batch, self.stft, workers=self.workers), is_last=is_last)
        return from_frames(mapped, self.stft, workers=self.workers)


def remarks_of(engine: Any) -> tuple[str, ...]:
    """What an engine and those inside it have found out: smaller batches, how a faster arithmetic compared."""
    found: list[str] = []
    while engine is not None:
        if isinstance(engine, OutOfMemorySplitter):
            found.append(engine.remark)
        elif isinstance(engine, ValidatedEngine):
            found.append(engine.verdict)
        engine = getattr(engine, "engine", None) or getattr(engine, "network", None)
    return tuple(remark for remark in found if remark)


class SilenceSkipping:
    """An engine of waveform chunks that works out only once what it makes of digital silence.

    Args:
        engine: maps float32 (batch, 2, samples) to one chunk for each; chunks do not depend on each other.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._silent: dict[tuple[int, ...], Batch] = {}

    @property
    def runs_on(self) -> str:
        """Where the work is done."""
        return self.engine.runs_on

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the engine over the chunks that sound, and over a silent one at most once for each length."""
        sounding = [index for index, chunk in enumerate(batch) if chunk.any()]
        if len(sounding) == len(batch):
            return self.engine.run(batch, is_last=is_last)
        shape = batch.shape[1:]
        if shape not in self._silent:
            self._silent[shape] = self.engine.run(np.zeros((1, *shape), np.float32), is_last=is_last)[0]
        silent = self._silent[shape]
        result = np.empty((len(batch), *silent.shape), np.float32)
        result[:] = silent
        if sounding:
            result[sounding] = self.engine.run(batch[sounding], is_last=is_last)
        return result


class DeviceSpectralEngine:
    """Transforms in torch on the network's own device; spectra are bound to the session, not copied.

    For every shape that differs from the one before, onnxruntime plans its convolutions anew, which is reported to take
    longer than a chunk does: a batch that is a little smaller than the one before is filled up with silence.

    Args:
        network: an ONNX session or a torch network on that device.
        stft: the network's transform.

    Raises:
        DeviceError: torch cannot use the device.
    """

    def __init__(self, network: OnnxEngine | TorchEngine, stft: StftGeometry) -> None:
        import torch

        self.network = network
        self.stft = stft
        self._torch = torch
        self._device = str(network.device)
        self._shape_before: tuple[int, ...] = ()
        if network.device.kind == "cuda" and not torch.cuda.is_available():
            raise DeviceError(
                f"torch {torch.__version__} cannot use {network.device}, which the transforms need",
                hint="install a CUDA build of torch, or use --device cpu",
            )

    @property
    def runs_on(self) -> str:
        """Where network and transforms run."""
        return f"{self.network.runs_on}, transforms on {self._device}"

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Separate chunks; the only transfers are the waveforms, in and out."""
        n_rows, self._shape_before = self._n_rows(batch), ()
        if n_rows > len(batch):
            # As soon as this has failed and its tensors are gone, the batch may fit as it is.
            with contextlib.suppress(DeviceMemoryError):
                return self._run(batch, n_rows, is_last=is_last)
        return self._run(batch, len(batch), is_last=is_last)

    def _run(self, batch: Batch, n_rows: int, *, is_last: bool) -> Batch:
        """Separate chunks together with as many silent ones as make ``n_rows``."""
        from my_submission.networks import spectra

        torch = self._torch
        with explained(self.network.device, len(batch)), torch.inference_mode():
            waves = torch.zeros((n_rows, *batch.shape[1:]), device=self._device)
            waves[: len(batch)] = torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32))
            channels = spectra.to_channels(waves, self.stft)
            mapped = (
                self._bound(channels, is_last=is_last)
                if isinstance(self.network, OnnxEngine)
                else self.network.apply(channels)
            )
            result: Batch = spectra.from_channels(mapped[: len(batch)], self.stft).cpu().numpy()
        self._shape_before = tuple(waves.shape)
        if is_last:
            give_back_cache(self.network.device)
        return result

    def _n_rows(self, batch: Batch) -> int:
        """Chunks of a run: those of the batch, or as many as before where that is at most a quarter more."""
        before = self._shape_before
        if not isinstance(self.network, OnnxEngine) or before[1:] != batch.shape[1:]:
            return len(batch)
        return before[0] if len(batch) < before[0] <= MAX_FILLED * len(batch) else len(batch)

    def _bound(self, channels: Any, *, is_last: bool) -> Any:
        """Run the session on the memory of one tensor into the memory of another."""
        engine = cast("OnnxEngine", self.network)
        mapped = self._torch.empty_like(channels)
        if engine.device.kind == "cuda":
            self._torch.cuda.current_stream(engine.device.index).synchronize()
        engine.run_in_place(channels.data_ptr(), mapped.data_ptr(), tuple(channels.shape), is_last=is_last)
        return mapped


def spectral_engine(
    network: OnnxEngine | FrameMajorOnnx | ValidatedEngine | TorchEngine, stft: StftGeometry, *, threads: int = 1
) -> Engine:
    """The spectral engine that suits the network and its device."""
    if isinstance(network, FrameMajorOnnx | ValidatedEngine):
        return SilenceSkipping(FrameSpectralEngine(network, stft, workers=threads))
    if network.device.kind == "cuda":
        return DeviceSpectralEngine(network, stft)
    return SilenceSkipping(HostSpectralEngine(network, stft))
