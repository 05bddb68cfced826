"""PCM samples of WAV files, rounded as libsndfile does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.stems import Waveform

FULL_SCALE = np.float32(2**31)
LARGEST = np.float32(1 - 2**-24)
"""The largest float32 below 1; the upper 24 bits of its integer are those of the largest integer."""


def pcm_frames(block: Waveform, *, bits: int) -> npt.NDArray[Any]:
    """Convert a block float32 (channels, n) to integers (n, channels) for a file of 16 or 24 bits.

    Values are clipped, scaled to 32 bits, rounded half to even, and truncated to the upper bits. These are the integers
    that ``soundfile.write`` stores, computed several times as fast: libsndfile branches for every value.

    Returns:
        int16 for 16 bits; for 24 bits int32 whose upper 24 bits count, as libsndfile expects.
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
