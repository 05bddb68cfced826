"""Closed-form blend weights of two systems, per source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluator.metrics import GLOBAL_SDR_EPSILON
from my_submission.stems import Waveform


@dataclass(frozen=True)
class BlendStatistics:
    """Moments of one source of a song: d = first − second estimate, e = true stem − second estimate.

    Attributes:
        difference: energy of d.
        agreement: inner product of d and e.
        error: energy of e.
        signal: energy of the true stem.
    """

    difference: float
    agreement: float
    error: float
    signal: float

    @classmethod
    def of(cls, first: Waveform, second: Waveform, stem: Waveform) -> BlendStatistics:
        """Return the moments of two estimates and the true stem, all of one shape."""
        d = first.astype(np.float64) - second
        e = stem.astype(np.float64) - second
        return cls(
            float(np.sum(d * d)),
            float(np.sum(d * e)),
            float(np.sum(e * e)),
            float(np.sum(np.square(stem, dtype=np.float64))),
        )

    def sdr(self, share: float) -> float:
        """Return the global SDR in dB of ``share · first + (1 − share) · second``."""
        error = max(0.0, share * share * self.difference - 2.0 * share * self.agreement + self.error)
        return float(10.0 * np.log10((self.signal + GLOBAL_SDR_EPSILON) / (error + GLOBAL_SDR_EPSILON)))


@dataclass(frozen=True)
class BlendChoice:
    """Blend of one source.

    Attributes:
        share: share of the first system, between 0 and 1.
        held_out_sdr_db: leave-one-song-out mean SDR of the blend.
        first_sdr_db: mean SDR of the first system alone.
        second_sdr_db: mean SDR of the second system alone.
    """

    share: float
    held_out_sdr_db: float
    first_sdr_db: float
    second_sdr_db: float


def fit_share(songs: Sequence[BlendStatistics]) -> float:
    """Return the share of the first system, 0 to 1, of least squared error over songs of equal weight."""
    weights = [1.0 / (song.signal + GLOBAL_SDR_EPSILON) for song in songs]
    difference = sum(w * song.difference for w, song in zip(weights, songs, strict=True))
    agreement = sum(w * song.agreement for w, song in zip(weights, songs, strict=True))
    return float(np.clip(agreement / difference, 0.0, 1.0)) if difference > 0.0 else 0.5


def choose_share(songs: Sequence[BlendStatistics]) -> BlendChoice:
    """Return the share over all songs and its leave-one-song-out score.

    Raises:
        ValueError: fewer than two songs.
    """
    if len(songs) < 2:
        raise ValueError("leave-one-out scores need at least two songs")
    held_out = [song.sdr(fit_share([*songs[:index], *songs[index + 1 :]])) for index, song in enumerate(songs)]
    return BlendChoice(
        fit_share(songs),
        float(np.mean(held_out)),
        float(np.mean([song.sdr(1.0) for song in songs])),
        float(np.mean([song.sdr(0.0) for song in songs])),
    )


def choose_shares(songs: Mapping[str, Sequence[BlendStatistics]]) -> dict[str, BlendChoice]:
    """Return :func:`choose_share` of every source."""
    return {source: choose_share(statistics) for source, statistics in songs.items()}
