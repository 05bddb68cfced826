"""Panning of stereo signals as in browsers."""

from __future__ import annotations

import math

import numpy as np

from my_submission.stems import Waveform


def panned(block: Waveform, pan: float) -> Waveform:
    """Return a stereo block float32 (2, n) panned with equal power, as a new array.

    To the left (pan ≤ 0), with x = pan + 1: left + right · cos(x·π/2), right · sin(x·π/2). To the right, with x = pan:
    left · cos(x·π/2), right + left · sin(x·π/2). Source: Web Audio API, "StereoPannerNode panning", stereo input.

    Args:
        block: the samples.
        pan: −1 (left) … 1 (right); 0 changes nothing.
    """
    if not -1 <= pan <= 1:
        raise ValueError(f"pan={pan} must be between -1 and 1")
    left, right = block
    angle = (pan + 1 if pan <= 0 else pan) * math.pi / 2
    near, far = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    if pan <= 0:
        return np.stack([left + right * near, right * far])
    return np.stack([left * near, right + left * far])
