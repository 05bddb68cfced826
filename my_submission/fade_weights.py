"""Fade weights of overlap-add."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]
"""float32 (samples,), not negative."""


def trapezoid(samples: int, ramp: int) -> Weights:
    """Return weights that rise over ``ramp`` samples, stay at one, and fall over ``ramp`` samples; none is zero.

    A ramp of half the block gives a triangle, a ramp of 0 gives ones.
    """
    if not 0 <= 2 * ramp <= samples:
        raise ValueError(f"two ramps of {ramp} samples do not fit into {samples} samples")
    rising = (np.arange(1, ramp + 1) / (ramp + 1)).astype(np.float32)
    return np.concatenate([rising, np.ones(samples - 2 * ramp, np.float32), rising[::-1]])


def triangle(samples: int) -> Weights:
    """Return weights that rise from 1/peak to one and fall again, as Demucs v2 applies them."""
    rising = np.arange(1, samples // 2 + 1)
    falling = np.arange(samples - samples // 2, 0, -1)
    weight = np.concatenate([rising, falling]).astype(np.float32)
    normalised: Weights = weight / weight.max()
    return normalised


def hann(samples: int) -> Weights:
    """Return a symmetric Hann window, which begins and ends with zero."""
    return np.hanning(samples).astype(np.float32)
