"""From channel after channel to frame after frame, as files hold samples."""

from __future__ import annotations

import numpy as np

from my_submission.stems import Waveform


def interleaved(block: Waveform) -> Waveform:
    """A block (channels, n) as a new contiguous array of frames, float32 (n, channels).

    Channel by channel: a transposed copy of few channels takes numpy five times as long.
    """
    frames = np.empty(block.shape[::-1], np.float32)
    for channel, samples in enumerate(block):
        frames[:, channel] = samples
    return frames
