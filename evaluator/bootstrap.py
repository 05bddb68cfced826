"""Paired bootstrap over songs: confidence intervals for the difference of two runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from evaluator.errors import EvaluationError, ScoresError
from terminal.extras import explained_absence

_BATCH_NUMBERS = 1 << 22
"""Resampled values in memory at once."""

MAX_DRAWN_SONGS = 2_000_000_000
"""Songs that all intervals of one replay may draw: a minute or two of work. Ten runs of 150 songs take a sixth."""

MAX_RESAMPLES = 10_000_000
"""Resamples per interval; each keeps one number, together 80 MB."""


@dataclass(frozen=True)
class PairedDifference:
    """Score of a second run minus that of a first, in dB."""

    n_songs: int
    difference: float
    low: float
    high: float
    confidence: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def refuse_long_bootstrap(n_songs: Collection[int], n_resamples: int) -> None:
    """Refuse intervals that would take minutes or gigabytes.

    Args:
        n_songs: number of songs per interval.

    Raises:
        ScoresError: the work is too long; the hint names the largest number of resamples allowed.
    """
    allowed = min(MAX_RESAMPLES, MAX_DRAWN_SONGS // max(1, sum(n_songs)))
    if n_resamples > allowed:
        problem = f"{n_resamples} resamples of {sum(n_songs)} songs in {len(n_songs)} intervals would take too long"
        raise ScoresError(problem, hint=f"give --resamples {allowed}" if allowed else "compare fewer files at a time")


@explained_absence(EvaluationError)
def paired_bootstrap(
    first: Mapping[str, float],
    second: Mapping[str, float],
    *,
    statistic: str,
    rng: np.random.Generator,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
) -> PairedDifference:
    """Resample songs with replacement, the same songs for both runs, and return the percentile interval.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; computed by scipy.

    Args:
        first: song to dB.
        second: song to dB; only songs that both runs have are used.
        statistic: ``mean`` or ``median`` over songs.

    Raises:
        EvaluationError: scipy is not installed.
        ScoresError: fewer than two songs in common.
        ValueError: another statistic, or a confidence outside (0, 1).
    """
    from scipy import stats

    if statistic not in ("mean", "median") or not 0 < confidence < 1 or n_resamples < 1:
        raise ValueError(f"no interval for statistic={statistic!r}, {confidence=}, {n_resamples=}")
    songs = sorted(first.keys() & second.keys())
    if len(songs) < 2:
        raise ScoresError(f"{len(songs)} songs in common, a confidence interval needs two")
    values = [np.array([run[song] for song in songs]) for run in (first, second)]
    over = np.mean if statistic == "mean" else np.median
    interval = stats.bootstrap(
        values,
        lambda first, second, axis: over(second, axis=axis) - over(first, axis=axis),
        paired=True,
        method="percentile",
        n_resamples=n_resamples,
        batch=max(1, _BATCH_NUMBERS // (2 * len(songs))),
        confidence_level=confidence,
        random_state=rng,  # scipy 1.15 renamed it to rng; both names work
    ).confidence_interval
    whole = float(over(values[1]) - over(values[0]))
    return PairedDifference(len(songs), whole, float(interval.low), float(interval.high), confidence)
