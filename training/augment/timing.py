"""Effects on pitch and tempo, on the fly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import soxr

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import Effect, fitted


@dataclass(frozen=True, kw_only=True)
class Speed(Effect, kind="speed"):
    """Plays faster or slower, pitch and tempo together, by any ratio; linear interpolation.

    Attributes:
        change: greatest relative change, up or down.
    """

    change: float = 0.12
    is_timing: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.change < 1.0:
            raise ValueError(f"change={self.change} must be at least 0 and below 1")

    @property
    def reach(self) -> float:
        """The fastest reads this many samples for one."""
        return 1.0 + self.change

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Stretched so that every draw leaves at least ``samples / reach``."""
        speed = 1.0 + self.change * rng.uniform(-1.0, 1.0)
        n_kept = int(window.shape[1] / self.reach)
        return interpolated(window[:, : int(np.ceil(n_kept * speed))], n_kept)


@dataclass(frozen=True, kw_only=True)
class SpeedPerturb(Effect, kind="speed-perturb"):
    """Plays faster or slower in fixed percentages, as AIMLESS does: below 100 is faster and higher.

    Attributes:
        percentages: length of the result in per cent of the window; one is drawn.
    """

    probability: float = 0.3
    percentages: tuple[int, ...] = (90, 100, 110)
    is_timing: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.percentages or min(self.percentages) < 1:
            raise ValueError(f"percentages={self.percentages} must be positive")

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Resampled, then cut or filled with zeros at the end to the window's own length."""
        percentage = int(rng.choice(self.percentages))
        if percentage == 100:
            return window
        return fitted(np.asarray(soxr.resample(window.T, 100, percentage)).T, window.shape[1])


@dataclass(frozen=True, kw_only=True)
class Pitch(Effect, kind="pitch"):
    """Shifts the pitch by one of several intervals and keeps the tempo, by Rubber Band (package pedalboard).

    Attributes:
        semitones: one is drawn; a name that stands twice is twice as likely.
    """

    probability: float = 0.3
    semitones: tuple[int, ...] = (-1, 1, 0, 1, 2)
    is_timing: ClassVar[bool] = True

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Of the window's own length."""
        return stretched(window, semitones=int(rng.choice(self.semitones)), tempo=1.0)


@dataclass(frozen=True, kw_only=True)
class PitchAndTempo(Effect, kind="pitch-and-tempo"):
    """Shifts pitch and tempo independently, as the published offline copies do, by Rubber Band (package pedalboard).

    Attributes:
        semitones: greatest shift, up or down; whole semitones are drawn.
        tempo_percent: greatest change of tempo; drawn in steps of ten.
    """

    semitones: int = 2
    tempo_percent: int = 20
    is_timing: ClassVar[bool] = True

    @property
    def reach(self) -> float:
        """The fastest reads this many samples for one."""
        return 1.0 + self.tempo_percent / 100.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """At least ``samples / reach`` long."""
        semitones = int(rng.integers(-self.semitones, self.semitones + 1))
        steps = self.tempo_percent // 10
        tempo = 1.0 + int(rng.integers(-steps, steps + 1)) / 10.0
        n_kept = int(window.shape[1] / self.reach)
        return stretched(window[:, : int(np.ceil(n_kept * tempo))], semitones=semitones, tempo=tempo)


def stretched(window: Waveform, *, semitones: int, tempo: float) -> Waveform:
    """``(2, samples)`` ``tempo`` times as fast and so many semitones higher: ``(2, round(samples / tempo))``."""
    if semitones == 0 and tempo == 1.0:
        return window
    import pedalboard

    changed = pedalboard.time_stretch(
        np.ascontiguousarray(window),
        float(SAMPLE_RATE),
        stretch_factor=tempo,
        pitch_shift_in_semitones=float(semitones),
        high_quality=True,
        use_long_fft_window=False,
    )
    return fitted(np.asarray(changed, dtype=np.float32), round(window.shape[1] / tempo))


def interpolated(window: Waveform, n_samples: int) -> Waveform:
    """``window`` (2, any) stretched to ``n_samples`` by linear interpolation."""
    positions = np.linspace(0.0, window.shape[1] - 1.0, n_samples, dtype=np.float64)
    left = np.clip(positions.astype(np.int64), 0, max(0, window.shape[1] - 2))
    right = np.minimum(left + 1, window.shape[1] - 1)
    fraction = (positions - left).astype(np.float32)
    result = np.empty((len(window), n_samples), dtype=np.float32)
    for row, channel in zip(result, window, strict=True):
        before = channel[left]
        row[:] = before + (channel[right] - before) * fraction
    return result
