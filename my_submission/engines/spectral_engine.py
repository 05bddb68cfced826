"""Spectral networks as engines of waveforms: transform, network and inverse transform.

On the CPU the transforms are those of ``dsp``; on a GPU they are torch's, and spectra stay on the device. Waveforms are
float32 (batch, 2, samples), samples = hop · (frames − 1).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np

from my_submission.dsp.stft import from_channels, from_frames, to_channels, to_frames
from my_submission.engines.base import Batch, Engine, EngineWrapper, RemarkingEngine
from my_submission.engines.device_memory import release_cache
from my_submission.engines.devices import explained
from my_submission.engines.frame_major import FrameMajorOnnx
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.engines.out_of_memory import OutOfMemorySplitter
from my_submission.engines.torch_engine import TorchEngine
from my_submission.engines.validated_engine import ValidatedEngine
from my_submission.errors import DeviceError, DeviceMemoryError
from my_submission.geometry import StftGeometry

MAX_PADDED_RATIO = 1.25
"""Maximum growth of a batch by silent chunks: planning allows a work item to take that much longer."""


class HostSpectralEngine(EngineWrapper):
    """Transforms on the CPU around an engine of spectra.

    Args:
        engine: maps spectra to spectra.
        stft: its transform.
        to_spectra: waveforms to the engine's layout of spectra, see :mod:`my_submission.dsp.stft`.
        to_waves: the inverse of ``to_spectra``.
    """

    def __init__(
        self,
        engine: Engine,
        stft: StftGeometry,
        *,
        to_spectra: Callable[[Batch, StftGeometry], Batch] = to_channels,
        to_waves: Callable[[Batch, StftGeometry], Batch] = from_channels,
    ) -> None:
        super().__init__(engine)
        self.stft = stft
        self._to_spectra, self._to_waves = to_spectra, to_waves

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Separate chunks."""
        return self._to_waves(self.engine.run(self._to_spectra(batch, self.stft), is_last=is_last), self.stft)


def frame_spectral_engine(engine: Engine, stft: StftGeometry, *, workers: int) -> HostSpectralEngine:
    """Return transforms in ``workers`` threads around an engine of float32 (batch, 4, frames, bins)."""
    forward, inverse = partial(to_frames, workers=workers), partial(from_frames, workers=workers)
    return HostSpectralEngine(engine, stft, to_spectra=forward, to_waves=inverse)


def remarks_of(engine: Any) -> tuple[str, ...]:
    """Return the remarks of an engine and the engines inside it: reduced batches, verdicts on a faster arithmetic."""
    found: list[str] = []
    while engine is not None:
        if isinstance(engine, OutOfMemorySplitter | RemarkingEngine):
            found.append(engine.remark)
        elif isinstance(engine, ValidatedEngine):
            found.append(engine.verdict)
        engine = getattr(engine, "engine", None)
    return tuple(remark for remark in found if remark)


class SilenceSkipping(EngineWrapper):
    """An engine of waveform chunks that computes the output of digital silence only once per length.

    Args:
        engine: maps float32 (batch, 2, samples) to one chunk each; chunks do not depend on each other.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._silent: dict[tuple[int, ...], Batch] = {}

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the engine over the chunks that are not silent, and over silence once per length."""
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
    """Transforms in torch on the network's device; spectra are bound to the session, not copied.

    onnxruntime plans its convolutions again whenever the shape changes, which is reported to take longer than a chunk.
    Therefore a batch slightly smaller than the previous one is padded with silence.

    Args:
        network: an ONNX session or a torch network.
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
        self._previous_shape: tuple[int, ...] = ()
        if network.device.kind == "cuda" and not torch.cuda.is_available():
            raise DeviceError(
                f"torch {torch.__version__} cannot use {network.device}, which the transforms need",
                hint="install a CUDA build of torch, or use --device cpu",
            )

    @property
    def runs_on(self) -> str:
        """Runtime and device of the network and the transforms."""
        return f"{self.network.runs_on}, transforms on {self._device}"

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Separate chunks; only waveforms are copied to and from the device."""
        n_rows, self._previous_shape = self._n_rows(batch), ()
        if n_rows > len(batch):
            # If this fails, its tensors are released first, so the batch without padding may fit.
            with contextlib.suppress(DeviceMemoryError):
                return self._run(batch, n_rows, is_last=is_last)
        return self._run(batch, len(batch), is_last=is_last)

    def _run(self, batch: Batch, n_rows: int, *, is_last: bool) -> Batch:
        """Separate chunks, padded with silent ones to ``n_rows``."""
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
        self._previous_shape = tuple(waves.shape)
        if is_last:
            release_cache(self.network.device)
        return result

    def _n_rows(self, batch: Batch) -> int:
        """Return the previous number of chunks if the batch is at most a quarter smaller, else its own."""
        previous = self._previous_shape
        if not isinstance(self.network, OnnxEngine) or previous[1:] != batch.shape[1:]:
            return len(batch)
        return previous[0] if len(batch) < previous[0] <= MAX_PADDED_RATIO * len(batch) else len(batch)

    def _bound(self, channels: Any, *, is_last: bool) -> Any:
        """Run the session from the memory of one tensor into that of another."""
        engine = cast("OnnxEngine", self.network)
        mapped = self._torch.empty_like(channels)
        if engine.device.kind == "cuda":
            self._torch.cuda.current_stream(engine.device.index).synchronize()
        engine.run_in_place(channels.data_ptr(), mapped.data_ptr(), tuple(channels.shape), is_last=is_last)
        return mapped


def spectral_engine(
    network: OnnxEngine | ValidatedEngine | TorchEngine, stft: StftGeometry, *, threads: int = 1
) -> Engine:
    """Return the spectral engine for a network and its device."""
    if isinstance(network, FrameMajorOnnx | ValidatedEngine):
        return SilenceSkipping(frame_spectral_engine(network, stft, workers=threads))
    if network.device.kind == "cuda":
        return DeviceSpectralEngine(network, stft)
    return SilenceSkipping(HostSpectralEngine(network, stft))
