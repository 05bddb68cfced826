"""Effects on loudness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import Effect, check_range

LOUDNESS_BLOCK_SECONDS = 0.4
"""Gating block of ITU-R BS.1770; shorter windows have no loudness."""


@dataclass(frozen=True, kw_only=True)
class Gain(Effect, kind="gain"):
    """A random factor.

    Attributes:
        low: minimum factor.
        high: maximum factor.
    """

    low: float = 0.25
    high: float = 1.25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("gain", self.low, self.high)

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Multiply by a random factor."""
        return window * np.float32(rng.uniform(self.low, self.high))


@dataclass(frozen=True, kw_only=True)
class VolumeAutomation(Effect, kind="volume-automation"):
    """A gain that is linear in decibels between random points.

    Attributes:
        deviation_db: maximum gain at a point, up or down.
        segment_seconds: minimum distance of the points.
    """

    probability: float = 0.3
    deviation_db: float = 6.0
    segment_seconds: float = 3.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Multiply by a varying gain."""
        n_samples = window.shape[1]
        max_segments = max(1, int(n_samples / (self.segment_seconds * SAMPLE_RATE)))
        n_points = int(rng.integers(1, max_segments + 1)) + 1
        gains_db = rng.uniform(-self.deviation_db, self.deviation_db, n_points)
        moving = np.interp(np.arange(n_samples), np.linspace(0, n_samples - 1, n_points), gains_db)
        return np.asarray(window * 10.0 ** (moving / 20.0), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Loudness(Effect, kind="loudness"):
    """Normalise to a loudness by ITU-R BS.1770 (package pyloudnorm).

    Attributes:
        target_lufs: loudness of the result.
        low_db: minimum gain.
        high_db: maximum gain.
    """

    target_lufs: float = -32.0
    low_db: float = -120.0
    high_db: float = 40.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Scale to the loudness; silence and windows shorter than one gating block are unchanged."""
        scaled = at_loudness(window, self.target_lufs, low_db=self.low_db, high_db=self.high_db)
        return window if scaled is None else scaled


def at_loudness(window: Waveform, lufs: float, *, low_db: float = -np.inf, high_db: float = np.inf) -> Waveform | None:
    """Scale ``(2, samples)`` to a loudness by ITU-R BS.1770, within gain limits; None if it has no loudness."""
    import pyloudnorm

    if window.shape[1] <= LOUDNESS_BLOCK_SECONDS * SAMPLE_RATE or not window.any():
        return None
    with np.errstate(divide="ignore"):
        measured = pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(window.T.astype(np.float64))
    if not np.isfinite(measured):
        return None
    gain_db = np.clip(lufs - measured, low_db, high_db)
    return window * np.float32(10.0 ** (gain_db / 20.0))
