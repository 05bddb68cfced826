"""Changes of a whole example: what is done to the mixture, its stems follow."""

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
"""Samples of a mixture below -120 dB say nothing of the gain they were changed by."""


@dataclass(frozen=True, kw_only=True)
class MixtureEffect(Variant):
    """A random change of a mixture that its stems share.

    Attributes:
        probability: that an example is changed at all.
    """

    probability: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability={self.probability} must lie between 0 and 1")

    def apply(self, stems: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Changed copies of ``float32 (sources, 2, samples)``."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class LimitAug(MixtureEffect, kind="limit-aug"):
    """Masters the mixture as loud as released music is: a loudness, a limiter (package pedalboard), a common loudness.

    Definition: "Towards robust music source separation on loud commercial music" (Jeon and Lee, 2022), with the
    numbers of the AIMLESS recipes. Every stem is multiplied, sample by sample, by what the mixture was.

    Attributes:
        mean_lufs: of the normal distribution that the loudness before the limiter is drawn from.
        deviation_lu: its standard deviation.
        threshold_db: of the limiter.
        shortest_release_ms: of the limiter.
        longest_release_ms: of the limiter.
        target_lufs: loudness of the result; as the limiter left it when absent.
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
        """Stems of the limited mixture; silence and windows too short to have a loudness stay as they are."""
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
    """By what each sample of ``(2, samples)`` was multiplied; in between where the mixture crosses zero."""
    gains = np.empty_like(before)
    places = np.arange(before.shape[1])
    for row, old, new in zip(gains, before, after, strict=True):
        says = np.abs(old) > _SILENT
        row[:] = np.interp(places, places[says], np.abs(new[says] / old[says])) if says.any() else 1.0
    return gains
