"""Networks on a GPU in the fastest arithmetic that agrees with fp32: fp16, else TF32, else fp32."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from my_submission.engines.base import Batch, Engine, Precision
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.engines.spectral_engine import DeviceSpectralEngine
from my_submission.engines.torch_engine import TorchEngine
from my_submission.engines.validated_engine import ValidatedEngine, loudest_item, loudest_stretch
from my_submission.geometry import StftGeometry

_FASTEST_FIRST: tuple[Precision, ...] = ("fp16", "tf32")
"""fp16 and TF32 both have ten bits of mantissa; TF32 has the range of fp32."""


def checked_spectral(network: OnnxEngine | TorchEngine, stft: StftGeometry, *, name: str) -> ValidatedEngine:
    """Return the network with transforms on its device, validated on the loudest chunk of the first batch.

    Raises:
        DeviceError: torch cannot use the device.
    """

    def opened(precision: Precision) -> Engine:
        return DeviceSpectralEngine(network.at(precision), stft)

    candidates: dict[str, Callable[[], Engine]] = {
        precision: partial(opened, precision) for precision in _FASTEST_FIRST
    }
    return ValidatedEngine(DeviceSpectralEngine(network, stft), candidates, excerpt=loudest_item, name=name)


def checked_waveform(network: TorchEngine, *, excerpt_samples: int, name: str) -> ValidatedEngine:
    """Return a network of waveforms, validated on an excerpt of the loudest of the first segments.

    Args:
        network: network in fp32.
        excerpt_samples: length of the excerpt, one that the network takes.
        name: name of the network, for the verdict.
    """
    candidates: dict[str, Callable[[], Engine]] = {
        precision: partial(network.at, precision) for precision in _FASTEST_FIRST
    }
    excerpt: Callable[[Batch], Batch] = partial(loudest_stretch, samples=excerpt_samples)
    return ValidatedEngine(network, candidates, excerpt=excerpt, name=name)
