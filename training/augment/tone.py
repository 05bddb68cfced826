"""Effects on polarity, stereo image and spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import Effect

OCTAVES_HZ = 31.25 * 2.0 ** np.arange(10)
"""Centres of a ten-band equaliser."""


@dataclass(frozen=True, kw_only=True)
class Flip(Effect, kind="flip"):
    """Invert the polarity."""

    probability: float = 0.5

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Return the negative."""
        return -window


@dataclass(frozen=True, kw_only=True)
class Swap(Effect, kind="swap"):
    """Swap left and right."""

    probability: float = 0.5

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Return right, left."""
        return np.ascontiguousarray(window[::-1])


@dataclass(frozen=True, kw_only=True)
class Pan(Effect, kind="pan"):
    """Mix to mono and pan to a random position.

    Attributes:
        deviation: standard deviation of the position; 0 is the centre, ±1 are the sides.
    """

    probability: float = 0.15
    deviation: float = 0.3

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Pan to a random position."""
        return panned(window, float(rng.normal(0.0, self.deviation)))


@dataclass(frozen=True, kw_only=True)
class Saturate(Effect, kind="saturate"):
    """Soft clipping that keeps the root mean square.

    Attributes:
        low: minimum drive, relative to the RMS of the window.
        high: maximum drive.
    """

    probability: float = 0.15
    low: float = 0.2
    high: float = 1.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Clip by a hyperbolic tangent."""
        return saturated(window, float(rng.uniform(self.low, self.high)))


@dataclass(frozen=True, kw_only=True)
class Equalise(Effect, kind="equalise"):
    """Zero-phase equaliser with independent random gains at ten octaves, interpolated between them.

    Attributes:
        deviation_db: standard deviation of the gains.
    """

    deviation_db: float = 3.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Filter by random gains."""
        return equalised(window, rng.normal(0.0, self.deviation_db, len(OCTAVES_HZ)))


@dataclass(frozen=True, kw_only=True)
class Widen(Effect, kind="widen"):
    """Scales the side signal against the mid signal, from mono (0) over unchanged (0.5) to sides only (1).

    Attributes:
        low: minimum width.
        high: maximum width.
    """

    probability: float = 0.3
    low: float = 0.0
    high: float = 1.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Scale mid by 2 · (1 − width) and side by 2 · width."""
        width = rng.uniform(self.low, self.high)
        mid, side = (1.0 - width) * (window[0] + window[1]), width * (window[0] - window[1])
        return np.stack((mid + side, mid - side))


def panned(window: Waveform, position: float) -> Waveform:
    """Mix ``(2, samples)`` to mono and pan it to a position from -1 (left) to 1 (right)."""
    angle = (np.clip(position, -1.0, 1.0) + 1.0) * np.pi / 4.0
    gains = np.array([[np.cos(angle)], [np.sin(angle)]], dtype=np.float32) * np.float32(np.sqrt(2.0))
    return np.asarray(window.mean(axis=0, keepdims=True) * gains, dtype=np.float32)


def saturated(window: Waveform, drive: float) -> Waveform:
    """Soft clipping that keeps the RMS; ``drive`` is relative to it."""
    rms = float(np.sqrt(np.mean(window * window)))
    if rms == 0.0:
        return window
    clipped = np.tanh(window * np.float32(drive / rms))
    return np.asarray(clipped * (rms / np.sqrt(np.mean(clipped * clipped))), dtype=np.float32)


def equalised(window: Waveform, gains_db: npt.NDArray[np.float64]) -> Waveform:
    """Filter ``(2, samples)`` by gains at :data:`OCTAVES_HZ`, interpolated in decibels over octaves."""
    n_samples = window.shape[1]
    n_fft = scipy.fft.next_fast_len(n_samples, real=True)
    hertz = np.maximum(np.fft.rfftfreq(n_fft, 1.0 / SAMPLE_RATE), OCTAVES_HZ[0])
    curve_db = np.interp(np.log2(hertz), np.log2(OCTAVES_HZ), gains_db)
    curve = np.asarray(10.0 ** (curve_db / 20.0), dtype=np.float32)
    spectrum = scipy.fft.rfft(window, n_fft) * curve
    return np.asarray(scipy.fft.irfft(spectrum, n_fft)[:, :n_samples], dtype=np.float32)
