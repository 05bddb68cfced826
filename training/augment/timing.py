"""Effects that change speed: pitch and tempo together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import soxr

from my_submission.stems import Waveform
from training.augment.effects import Effect, fitted


@dataclass(frozen=True, kw_only=True)
class Speed(Effect, kind="speed"):
    """Random speed by linear interpolation.

    Attributes:
        change: maximum relative change, up or down.
    """

    change: float = 0.12
    is_timing: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.change < 1.0:
            raise ValueError(f"change={self.change} must be at least 0 and below 1")

    @property
    def reach(self) -> float:
        """Input samples per output sample at the highest speed."""
        return 1.0 + self.change

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Resample; the result has ``samples / reach`` samples at every speed."""
        speed = 1.0 + self.change * rng.uniform(-1.0, 1.0)
        n_kept = int(window.shape[1] / self.reach)
        return interpolated(window[:, : int(np.ceil(n_kept * speed))], n_kept)


@dataclass(frozen=True, kw_only=True)
class SpeedPerturb(Effect, kind="speed-perturb"):
    """Random speed from a list, as in AIMLESS: percentages below 100 are faster and higher.

    Attributes:
        percentages: lengths of the result in per cent of the window, to draw from.
    """

    probability: float = 0.3
    percentages: tuple[int, ...] = (90, 100, 110)
    is_timing: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.percentages or min(self.percentages) < 1:
            raise ValueError(f"percentages={self.percentages} must be positive")

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Resample, then cut or zero-pad to the length of the window."""
        percentage = int(rng.choice(self.percentages))
        if percentage == 100:
            return window
        return fitted(np.asarray(soxr.resample(window.T, 100, percentage)).T, window.shape[1])


def interpolated(window: Waveform, n_samples: int) -> Waveform:
    """Stretch ``(2, samples)`` to ``n_samples`` by linear interpolation."""
    positions = np.linspace(0.0, window.shape[1] - 1.0, n_samples, dtype=np.float64)
    left = np.clip(positions.astype(np.int64), 0, max(0, window.shape[1] - 2))
    right = np.minimum(left + 1, window.shape[1] - 1)
    fraction = (positions - left).astype(np.float32)
    result = np.empty((len(window), n_samples), dtype=np.float32)
    for row, channel in zip(result, window, strict=True):
        before = channel[left]
        row[:] = before + (channel[right] - before) * fraction
    return result
