"""Overlapping estimates added under weights, handed out as soon as they are final."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]


def trapezoid(samples: int, ramp: int) -> Samples:
    """Weights of a block that overlaps both neighbours by ``ramp``: rising, flat, falling; float32 (samples,).

    A ramp of half the block is a triangle; none at all is ones. No weight is zero.
    """
    if not 0 <= 2 * ramp <= samples:
        raise ValueError(f"two ramps of {ramp} do not fit {samples} samples")
    rising = (np.arange(1, ramp + 1) / (ramp + 1)).astype(np.float32)
    return np.concatenate([rising, np.ones(samples - 2 * ramp, np.float32), rising[::-1]])


class OverlapAdder:
    """Sums of weighted blocks and of their weights, over a window that moves along a signal.

    Args:
        leading_shape: shape of a block without its last axis, such as (sources, channels).
        span: samples of the window, the longest block there will be.
    """

    def __init__(self, leading_shape: tuple[int, ...], span: int) -> None:
        self._sum = np.zeros((*leading_shape, span), np.float32)
        self._weights = np.zeros(span, np.float32)

    def add(self, block: Samples, weights: Samples) -> None:
        """Add a block (..., n) at the window's start, under weights (n,)."""
        samples = block.shape[-1]
        self._sum[..., :samples] += weights * block
        self._weights[:samples] += weights

    def take(self, samples: int) -> Samples:
        """The weighted mean of the first ``samples``, which no later block touches; the window moves past them."""
        final: Samples = self._sum[..., :samples] / self._weights[:samples]
        _move_left(self._sum, samples)
        _move_left(self._weights, samples)
        return final


def _move_left(array: Samples, samples: int) -> None:
    kept = array.shape[-1] - samples
    array[..., :kept] = array[..., samples:].copy()
    array[..., kept:] = 0
