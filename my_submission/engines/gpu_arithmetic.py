"""Networks on a GPU in the fastest arithmetic that agrees with fp32: fp16, else TF32, else fp32 itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from my_submission.engines.base import Batch, Engine
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.engines.rounded_onnx import HalfOnnx, Tf32Onnx
from my_submission.engines.spectral_engine import DeviceSpectralEngine
from my_submission.engines.torch_engine import Precision, TorchEngine
from my_submission.engines.validated_engine import ValidatedEngine, loudest_item, loudest_stretch
from my_submission.geometry import StftGeometry

_FASTEST_FIRST: tuple[Precision, ...] = ("fp16", "tf32")
"""Both have ten bits of mantissa; TF32 has the range of fp32."""


def checked_spectral(network: OnnxEngine | TorchEngine, stft: StftGeometry, *, name: str) -> ValidatedEngine:
    """Transforms on the device around a network; the loudest chunk of the first batch is compared.

    Raises:
        DeviceError: torch cannot use the device.
    """
    candidates: dict[str, Callable[[], Engine]] = {}
    if isinstance(network, OnnxEngine):
        for arithmetic, kind in (("fp16", HalfOnnx), ("tf32", Tf32Onnx)):
            candidates[arithmetic] = partial(_opened, kind, network, stft)
    else:
        for precision in _FASTEST_FIRST:
            candidates[precision] = partial(_recast, network, precision, stft)
    return ValidatedEngine(DeviceSpectralEngine(network, stft), candidates, excerpt=loudest_item, name=name)


def checked_waveform(network: TorchEngine, *, excerpt_samples: int, name: str) -> ValidatedEngine:
    """A network of waveforms, compared on a stretch of the loudest of the first segments.

    Args:
        network: in fp32.
        excerpt_samples: of that stretch, a length that the network takes.
        name: of the network, for the verdict.
    """
    candidates: dict[str, Callable[[], Engine]] = {
        precision: partial(network.at, precision) for precision in _FASTEST_FIRST
    }
    excerpt: Callable[[Batch], Batch] = partial(loudest_stretch, samples=excerpt_samples)
    return ValidatedEngine(network, candidates, excerpt=excerpt, name=name)


def _opened(kind: type[OnnxEngine], network: OnnxEngine, stft: StftGeometry) -> Engine:
    return DeviceSpectralEngine(kind(network.path, device=network.device, threads=network.threads), stft)


def _recast(network: TorchEngine, precision: Precision, stft: StftGeometry) -> Engine:
    return DeviceSpectralEngine(network.at(precision), stft)
