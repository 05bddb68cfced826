"""PCM samples of files: rounded as libsndfile does, or dithered."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.stems import Waveform

FULL_SCALE = np.float32(2**31)
LARGEST = np.float32(1 - 2**-24)
"""The largest float32 below 1; the upper 24 bits of its integer are those of the largest integer."""

_QUANTA_16 = 2**15
"""Quanta of a 16-bit sample in full scale."""


class Dither:
    """Noise with a triangular distribution of ±1 quantum, which makes the rounding error independent of the signal.

    Args:
        seed: equal seeds give equal noise, whatever the lengths of the blocks.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def noise(self, channels: int, samples: int) -> npt.NDArray[np.float32]:
        """Return the noise of the next samples, in quanta, float32 (channels, samples)."""
        uniform = self._rng.random((samples, channels, 2), dtype=np.float32)
        return (uniform[:, :, 0] - uniform[:, :, 1]).T


def pcm_frames(block: Waveform, *, bits: int, dither: Dither | None = None) -> npt.NDArray[Any]:
    """Convert a block float32 (channels, n) to integers (n, channels) for a file of 16 or 24 bits.

    Values are clipped, scaled to 32 bits, rounded half to even, and truncated to the upper bits. These are the integers
    that ``soundfile.write`` stores, computed several times as fast: libsndfile branches for every value.

    Args:
        block: the samples.
        bits: 16 or 24.
        dither: noise that is added before rounding to the nearest integer of 16 bits.

    Returns:
        int16 for 16 bits; for 24 bits int32 whose upper 24 bits count, as libsndfile expects.
    """
    if dither is not None:
        return _dithered(block, dither)
    frames = np.empty(block.shape[::-1], np.int16 if bits == 16 else np.int32)
    scaled = np.empty(block.shape[1], np.float32)
    whole = np.empty(block.shape[1], np.int32)
    for channel, samples in enumerate(block):
        np.minimum(samples, LARGEST, out=scaled)
        np.maximum(scaled, -1, out=scaled)
        np.multiply(scaled, FULL_SCALE, out=scaled)
        np.rint(scaled, out=scaled)
        np.copyto(whole, scaled, casting="unsafe")
        if bits == 16:
            np.right_shift(whole, 16, out=whole)
        frames[:, channel] = whole
    return frames


def _dithered(block: Waveform, dither: Dither) -> npt.NDArray[np.int16]:
    with np.errstate(over="ignore"):
        quanta = np.clip(block, -2, 2) * np.float32(_QUANTA_16) + dither.noise(*block.shape)
    whole: npt.NDArray[np.int16] = np.clip(np.rint(quanta), -_QUANTA_16, _QUANTA_16 - 1).astype(np.int16)
    return np.ascontiguousarray(whole.T)
