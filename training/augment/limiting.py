"""Effects on mixtures, which are applied to all stems of an example alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.documents import Variant
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import check_range
from training.augment.levels import at_loudness

_SILENT = 1e-6
"""Samples of the mixture below -120 dB are too small to derive a gain from."""


_SMALL_ENERGY = 1e-8
"""Added to energies before a division."""


@dataclass(frozen=True, kw_only=True)
class MixtureEffect(Variant):
    """Base class of random effects on a mixture.

    Attributes:
        probability: probability that the effect is applied.
    """

    probability: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability={self.probability} must lie between 0 and 1")

    def apply(self, stems: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return changed copies of ``float32 (sources, 2, samples)``."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class LimitAug(MixtureEffect, kind="limit-aug"):
    """Mastering like released music: a random loudness, a limiter (package pedalboard), a common loudness.

    Source: "Towards robust music source separation on loud commercial music" (Jeon and Lee, 2022), with the
    numbers of the AIMLESS recipes. Every stem is multiplied by the gain of the mixture, sample by sample.

    Attributes:
        mean_lufs: mean of the normally distributed loudness before the limiter.
        deviation_lu: its standard deviation.
        threshold_db: threshold of the limiter.
        shortest_release_ms: minimum release of the limiter.
        longest_release_ms: maximum release of the limiter.
        target_lufs: loudness of the result; None keeps the level after the limiter.
    """

    mean_lufs: float = -10.887
    deviation_lu: float = 1.191
    threshold_db: float = 0.0
    shortest_release_ms: float = 30.0
    longest_release_ms: float = 200.0
    target_lufs: float | None = -14.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("release of the limiter in ms", self.shortest_release_ms, self.longest_release_ms)

    def apply(self, stems: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return the stems of the limited mixture; silence and windows too short for a loudness are unchanged."""
        import pedalboard

        lufs = float(rng.normal(self.mean_lufs, self.deviation_lu))
        release_ms = float(rng.uniform(self.shortest_release_ms, self.longest_release_ms))
        mixture = np.asarray(stems.sum(axis=0), dtype=np.float32)
        loud = at_loudness(mixture, lufs)
        if loud is None:
            return stems.copy()
        library: Any = pedalboard
        board = library.Pedalboard([library.Limiter(threshold_db=self.threshold_db, release_ms=release_ms)])
        limited = np.asarray(board(np.ascontiguousarray(loud), SAMPLE_RATE), dtype=np.float32)
        mastered = limited if self.target_lufs is None else at_loudness(limited, self.target_lufs)
        return stems * _gains(mixture, limited if mastered is None else mastered)


def _gains(before: Waveform, after: Waveform) -> Waveform:
    """Return the gain per sample of ``(2, samples)``, interpolated where the mixture crosses zero."""
    gains = np.empty_like(before)
    positions = np.arange(before.shape[1])
    for row, old, new in zip(gains, before, after, strict=True):
        is_reliable = np.abs(old) > _SILENT
        ratios = np.abs(new[is_reliable] / old[is_reliable])
        row[:] = np.interp(positions, positions[is_reliable], ratios) if len(ratios) else 1.0
    return gains


@dataclass(frozen=True, kw_only=True)
class SignalToNoise(MixtureEffect, kind="signal-to-noise"):
    """A random ratio between the first source and all others, as in AIMLESS' recipe for speech.

    The others are multiplied by ``√(E / N) · 10^(−r / 10)`` with E and N the energies of the first source and of each
    other one and r uniform, so their ratio in dB is twice r, as published.

    Attributes:
        low: lower end of r.
        high: upper end of r.
    """

    low: float = 0.0
    high: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self.kind, self.low, self.high)

    def apply(self, stems: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return the stems with all but the first at the drawn ratio."""
        ratio = rng.uniform(self.low, self.high)
        changed = stems.copy()
        energy = float(np.sum(np.square(stems[0], dtype=np.float64)))
        for row in range(1, len(stems)):
            noise = float(np.sum(np.square(stems[row], dtype=np.float64))) + _SMALL_ENERGY
            changed[row] *= np.float32(np.sqrt(energy / noise) * 10.0 ** (-ratio / 10.0))
        return changed
