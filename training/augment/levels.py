"""Effects on loudness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import Effect, check_range

LOUDNESS_BLOCK_SECONDS = 0.4
"""Gating block of ITU-R BS.1770; a shorter window has no loudness."""


@dataclass(frozen=True, kw_only=True)
class Gain(Effect, kind="gain"):
    """A random factor.

    Attributes:
        low: least factor.
        high: greatest factor.
    """

    low: float = 0.25
    high: float = 1.25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("gain", self.low, self.high)

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Multiplied."""
        return window * np.float32(rng.uniform(self.low, self.high))


@dataclass(frozen=True, kw_only=True)
class VolumeAutomation(Effect, kind="volume-automation"):
    """Gains that move in straight lines, in decibels, between random points.

    Attributes:
        deviation_db: greatest gain at a point, up or down.
        segment_seconds: least distance of the points.
    """

    probability: float = 0.3
    deviation_db: float = 6.0
    segment_seconds: float = 3.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Multiplied by a moving gain."""
        n_samples = window.shape[1]
        most = max(1, int(n_samples / (self.segment_seconds * SAMPLE_RATE)))
        n_points = int(rng.integers(1, most + 1)) + 1
        gains_db = rng.uniform(-self.deviation_db, self.deviation_db, n_points)
        moving = np.interp(np.arange(n_samples), np.linspace(0, n_samples - 1, n_points), gains_db)
        return np.asarray(window * 10.0 ** (moving / 20.0), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Loudness(Effect, kind="loudness"):
    """Brings the window to a loudness by ITU-R BS.1770 (package pyloudnorm).

    Attributes:
        target_lufs: what it is brought to.
        low_db: least gain.
        high_db: greatest gain.
    """

    target_lufs: float = -32.0
    low_db: float = -120.0
    high_db: float = 40.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Scaled; silence and windows shorter than one gating block stay as they are."""
        scaled = at_loudness(window, self.target_lufs, low_db=self.low_db, high_db=self.high_db)
        return window if scaled is None else scaled


def at_loudness(window: Waveform, lufs: float, *, low_db: float = -np.inf, high_db: float = np.inf) -> Waveform | None:
    """``(2, samples)`` scaled to a loudness by ITU-R BS.1770, by a gain between two limits; None where it has none."""
    import pyloudnorm

    if window.shape[1] <= LOUDNESS_BLOCK_SECONDS * SAMPLE_RATE or not window.any():
        return None
    with np.errstate(divide="ignore"):
        measured = pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(window.T.astype(np.float64))
    if not np.isfinite(measured):
        return None
    gain_db = np.clip(lufs - measured, low_db, high_db)
    return window * np.float32(10.0 ** (gain_db / 20.0))
