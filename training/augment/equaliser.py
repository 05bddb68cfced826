"""Parametric equaliser of the AIMLESS entry to the challenge of 2023."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import scipy.signal

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import Effect, Range

FilterKind = Literal["low shelf", "peak", "high shelf"]


@dataclass(frozen=True, kw_only=True)
class EqualiserFilter:
    """A second-order filter: its kind, frequency, gain and quality."""

    kind: FilterKind
    hertz: float
    gain_db: float
    q: float

    def coefficients(self) -> npt.NDArray[np.float64]:
        """Return numerator and denominator ``[b0, b1, b2, 1, a1, a2]``.

        Source: the Audio EQ Cookbook of Robert Bristow-Johnson, as in the published code.
        """
        amplitude, omega = 10.0 ** (self.gain_db / 40.0), 2.0 * np.pi * self.hertz / SAMPLE_RATE
        alpha, cosine = np.sin(omega) / (2.0 * self.q), np.cos(omega)
        if self.kind == "peak":
            boost, cut = alpha * amplitude, alpha / amplitude
            values = [1.0 + boost, -2.0 * cosine, 1.0 - boost, 1.0 + cut, -2.0 * cosine, 1.0 - cut]
        else:
            side = 1.0 if self.kind == "low shelf" else -1.0
            more, less, slope = amplitude + 1.0, amplitude - 1.0, 2.0 * np.sqrt(amplitude) * alpha
            above, below = more - side * less * cosine, more + side * less * cosine
            values = [
                amplitude * (above + slope),
                amplitude * 2.0 * side * (less - side * more * cosine),
                amplitude * (above - slope),
                below + slope,
                -2.0 * side * (less + side * more * cosine),
                below - slope,
            ]
        return np.asarray(np.array(values) / values[3], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class ParametricEqualiser(Effect, kind="parametric-equaliser"):
    """Low shelf at 20–200 Hz, three peaks at 1–10 kHz, high shelf at 8–16 kHz, in this order; Q 0.1–4.

    Frequencies are drawn on a logarithmic scale.

    Attributes:
        gain_db: maximum gain of each filter, up or down.
    """

    probability: float = 0.3
    gain_db: float = 6.0

    bands: ClassVar[tuple[tuple[FilterKind, Range], ...]] = (
        ("low shelf", Range(20.0, 200.0, is_logarithmic=True)),
        ("peak", Range(1_000.0, 10_000.0, is_logarithmic=True)),
        ("peak", Range(1_000.0, 10_000.0, is_logarithmic=True)),
        ("peak", Range(1_000.0, 10_000.0, is_logarithmic=True)),
        ("high shelf", Range(8_000.0, 16_000.0, is_logarithmic=True)),
    )
    q: ClassVar[Range] = Range(0.1, 4.0)

    def filters(self, rng: np.random.Generator) -> list[EqualiserFilter]:
        """Draw five filters."""
        gain_db = Range(-self.gain_db, self.gain_db)
        return [
            EqualiserFilter(kind=kind, hertz=hertz.draw(rng), gain_db=gain_db.draw(rng), q=self.q.draw(rng))
            for kind, hertz in self.bands
        ]

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Filter by five random filters, one after the other, in float64."""
        sections = np.stack([drawn.coefficients() for drawn in self.filters(rng)])
        return np.asarray(scipy.signal.sosfilt(sections, window.astype(np.float64)), dtype=np.float32)
