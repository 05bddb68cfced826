"""Effects on sign, sides and spectrum that need no library but scipy."""

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
    """Turns the sign."""

    probability: float = 0.5

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """The negative."""
        return -window


@dataclass(frozen=True, kw_only=True)
class Swap(Effect, kind="swap"):
    """Exchanges left and right."""

    probability: float = 0.5

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Right, left."""
        return np.ascontiguousarray(window[::-1])


@dataclass(frozen=True, kw_only=True)
class Pan(Effect, kind="pan"):
    """Folds to mono and places it.

    Attributes:
        deviation: standard deviation of the position, 0 the centre, ±1 the sides.
    """

    probability: float = 0.15
    deviation: float = 0.3

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """The mono sum at a random place."""
        return panned(window, float(rng.normal(0.0, self.deviation)))


@dataclass(frozen=True, kw_only=True)
class Saturate(Effect, kind="saturate"):
    """Soft clipping that keeps the root mean square.

    Attributes:
        low: least drive, in units of the window's root mean square.
        high: greatest drive.
    """

    probability: float = 0.15
    low: float = 0.2
    high: float = 1.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Bent by a hyperbolic tangent."""
        return saturated(window, float(rng.uniform(self.low, self.high)))


@dataclass(frozen=True, kw_only=True)
class Equalise(Effect, kind="equalise"):
    """A random smooth equaliser without delay: independent gains at ten octaves, interpolated between.

    Attributes:
        deviation_db: standard deviation of the gains.
    """

    deviation_db: float = 3.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Filtered by random gains."""
        return equalised(window, rng.normal(0.0, self.deviation_db, len(OCTAVES_HZ)))


@dataclass(frozen=True, kw_only=True)
class Widen(Effect, kind="widen"):
    """Scales the side signal against the mid signal, from mono (0) over unchanged (0.5) to sides only (1).

    Attributes:
        low: least width.
        high: greatest width.
    """

    probability: float = 0.3
    low: float = 0.0
    high: float = 1.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Mid by 2·(1 − width), side by 2·width."""
        width = rng.uniform(self.low, self.high)
        mid, side = (1.0 - width) * (window[0] + window[1]), width * (window[0] - window[1])
        return np.stack((mid + side, mid - side))


def panned(window: Waveform, position: float) -> Waveform:
    """The mono sum of ``(2, samples)`` at ``position``, from -1 (left) over 0 (centre) to 1 (right)."""
    angle = (np.clip(position, -1.0, 1.0) + 1.0) * np.pi / 4.0
    gains = np.array([[np.cos(angle)], [np.sin(angle)]], dtype=np.float32) * np.float32(np.sqrt(2.0))
    return np.asarray(window.mean(axis=0, keepdims=True) * gains, dtype=np.float32)


def saturated(window: Waveform, drive: float) -> Waveform:
    """Soft clipping that keeps the root mean square; ``drive`` counts in units of it."""
    rms = float(np.sqrt(np.mean(window * window)))
    if rms == 0.0:
        return window
    bent = np.tanh(window * np.float32(drive / rms))
    return np.asarray(bent * (rms / np.sqrt(np.mean(bent * bent))), dtype=np.float32)


def equalised(window: Waveform, gains_db: npt.NDArray[np.float64]) -> Waveform:
    """``(2, samples)`` with gains at :data:`OCTAVES_HZ`, linear in decibels over octaves between, constant beyond."""
    n_samples = window.shape[1]
    n_fft = scipy.fft.next_fast_len(n_samples, real=True)
    hertz = np.maximum(np.fft.rfftfreq(n_fft, 1.0 / SAMPLE_RATE), OCTAVES_HZ[0])
    curve_db = np.interp(np.log2(hertz), np.log2(OCTAVES_HZ), gains_db)
    curve = np.asarray(10.0 ** (curve_db / 20.0), dtype=np.float32)
    spectrum = scipy.fft.rfft(window, n_fft) * curve
    return np.asarray(scipy.fft.irfft(spectrum, n_fft)[:, :n_samples], dtype=np.float32)
