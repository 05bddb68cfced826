"""Effects on loudness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import Effect, check_range

LOUDNESS_BLOCK_SECONDS = 0.4
"""Gating block of ITU-R BS.1770; shorter windows have no loudness."""

MIN_CONCENTRATION, MAX_CONCENTRATION = 1e-6, 10.0
"""Concentrations of the Dirichlet distribution of :class:`VolumeAutomation`."""


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
    """A gain that starts at 0 dB and moves in straight lines, in decibels, from one random gain to the next.

    The number of lines is uniform, up to one per ``segment_seconds``. Their shares of the window are a draw of a
    Dirichlet distribution with concentrations between 0 and 10.

    Attributes:
        deviation_db: maximum gain at the end of a line, up or down.
        segment_seconds: length of a window per line.
    """

    probability: float = 0.3
    deviation_db: float = 6.0
    segment_seconds: float = 3.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Multiply by a varying gain."""
        return np.asarray(window * 10.0 ** (self.gains_db(window.shape[1], rng) / 20.0), dtype=np.float32)

    def gains_db(self, n_samples: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Draw the gain of every sample, in decibels."""
        max_segments = max(1, int(n_samples / (self.segment_seconds * SAMPLE_RATE)))
        n_segments = int(rng.integers(1, max_segments + 1))
        concentrations = np.maximum(rng.uniform(0.0, MAX_CONCENTRATION, n_segments), MIN_CONCENTRATION)
        lengths = np.maximum(1, (rng.dirichlet(concentrations) * n_samples).astype(np.int64))
        lengths[np.argmax(lengths)] += n_samples - lengths.sum()
        ends = np.cumsum(lengths)
        levels_db = np.concatenate([[0.0], rng.uniform(-self.deviation_db, self.deviation_db, n_segments)])
        gains_db = np.empty(n_samples)
        for start, end, first_db, last_db in zip([0, *ends[:-1]], ends, levels_db[:-1], levels_db[1:], strict=True):
            gains_db[start:end] = np.linspace(first_db, last_db, end - start)
        return gains_db


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
        """Scale to the loudness.

        A window too quiet to be measured gets the maximum gain. One shorter than a gating block is unchanged.
        """
        measured = loudness(window)
        if measured is None:
            return window
        gain_db = np.clip(self.target_lufs - measured, self.low_db, self.high_db)
        return window * np.float32(10.0 ** (gain_db / 20.0))


def loudness(window: Waveform) -> float | None:
    """Return the loudness of ``(2, samples)`` by ITU-R BS.1770, in LUFS.

    It is -inf for silence and for sound that is too quiet to be measured, and None if shorter than a gating block.
    """
    import pyloudnorm

    if window.shape[1] <= LOUDNESS_BLOCK_SECONDS * SAMPLE_RATE:
        return None
    if not window.any():
        return -np.inf
    with np.errstate(divide="ignore"):
        measured = float(pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(window.T.astype(np.float64)))
    return measured if np.isfinite(measured) else -np.inf


def at_loudness(window: Waveform, lufs: float) -> Waveform | None:
    """Scale ``(2, samples)`` to a loudness; None if the loudness cannot be measured."""
    measured = loudness(window)
    if measured is None or not np.isfinite(measured):
        return None
    return window * np.float32(10.0 ** ((lufs - measured) / 20.0))
