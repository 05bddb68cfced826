"""From floats to the integers that WAV files hold, as libsndfile rounds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.stems import Waveform

FULL_SCALE = np.float32(2**31)
LARGEST = np.float32(1 - 2**-24)
"""The largest float below 1; the upper 24 bits of its integer are those of the largest integer."""


def pcm_frames(block: Waveform, *, bits: int) -> npt.NDArray[Any]:
    """A block float32 (channels, n) as frames of integers (n, channels), for a file of 16 or 24 bits.

    Values are clipped, scaled to 32 bits, rounded to the nearest integer (to even between two), and cut to the upper
    bits: the same integers as ``soundfile.write`` puts into a WAV file, which are a step lower than rounded ones half
    of the time. libsndfile goes value by value through a branch, which takes several times as long.

    Returns:
        int16 for 16 bits; for 24 bits int32 of which the upper 24 bits count, as libsndfile wants them.
    """
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
