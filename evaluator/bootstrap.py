"""Are two runs over the same songs different? Paired bootstrap over songs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evaluator.errors import ScoresError

_BATCH_NUMBERS = 1 << 22
"""Resampled values held at once."""


@dataclass(frozen=True)
class PairedDifference:
    """How much higher the second run scores than the first.

    Attributes:
        n_songs: songs both have.
        difference: statistic of the second minus that of the first, in dB.
        low: lower end of the confidence interval.
        high: upper end.
        confidence: e.g. 0.95.
    """

    n_songs: int
    difference: float
    low: float
    high: float
    confidence: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    first: Mapping[str, float],
    second: Mapping[str, float],
    *,
    statistic: str,
    rng: np.random.Generator,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
) -> PairedDifference:
    """Resample songs with replacement, the same songs for both runs, and take the percentile interval.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Args:
        first: song to dB.
        second: song to dB; songs that only one run has are left out.
        statistic: ``mean`` or ``median`` over songs, as the metric has it.
        rng: source of randomness.
        n_resamples: how often to resample.
        confidence: share of resamples inside the interval.

    Raises:
        ScoresError: fewer than two songs in common, for which there is no interval.
        ValueError: another statistic, or a confidence outside (0, 1).
    """
    if statistic not in ("mean", "median") or not 0 < confidence < 1 or n_resamples < 1:
        raise ValueError(f"no interval for statistic={statistic!r}, {confidence=}, {n_resamples=}")
    songs = sorted(first.keys() & second.keys())
    if len(songs) < 2:
        raise ScoresError(f"{len(songs)} songs in common, a confidence interval needs two")
    over = np.mean if statistic == "mean" else np.median
    values = np.array([[run[song] for song in songs] for run in (first, second)])
    per_batch = max(1, _BATCH_NUMBERS // (2 * len(songs)))
    differences = []
    for start in range(0, n_resamples, per_batch):
        drawn = rng.integers(len(songs), size=(min(per_batch, n_resamples - start), len(songs)))
        statistics = over(values[:, drawn], axis=-1)
        differences.append(statistics[1] - statistics[0])
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(differences), [tail, 1 - tail])
    whole = over(values, axis=-1)
    return PairedDifference(len(songs), float(whole[1] - whole[0]), float(low), float(high), confidence)
