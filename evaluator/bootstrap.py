"""Are two runs over the same songs different? Paired bootstrap over songs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from evaluator.errors import ScoresError

_BATCH_NUMBERS = 1 << 22
"""Resampled values held at once."""

MAX_DRAWN_SONGS = 2_000_000_000
"""Songs that all intervals of one replay may draw: a minute or two of work. Ten runs of 150 songs take a sixth."""

MAX_RESAMPLES = 10_000_000
"""Of one interval: each leaves one number, all of them 80 MB."""


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


def refuse_long_bootstrap(n_songs: Collection[int], n_resamples: int) -> None:
    """Refuse intervals that would take minutes or gigabytes.

    Args:
        n_songs: songs behind each interval.
        n_resamples: how often each resamples.

    Raises:
        ScoresError: there are too many; the cure names the number that would do.
    """
    allowed = min(MAX_RESAMPLES, MAX_DRAWN_SONGS // max(1, sum(n_songs)))
    if n_resamples > allowed:
        problem = f"{n_resamples} resamples of {sum(n_songs)} songs in {len(n_songs)} intervals would take too long"
        raise ScoresError(problem, hint=f"give --resamples {allowed}" if allowed else "compare fewer files at a time")


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
    differences = np.empty(n_resamples)
    for start in range(0, n_resamples, per_batch):
        drawn = rng.integers(len(songs), size=(min(per_batch, n_resamples - start), len(songs)))
        statistics = over(values[:, drawn], axis=-1)
        differences[start : start + len(drawn)] = statistics[1] - statistics[0]
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    whole = over(values, axis=-1)
    return PairedDifference(len(songs), float(whole[1] - whole[0]), float(low), float(high), confidence)
