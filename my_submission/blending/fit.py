"""Best shares of a blend and of the filter from true stems, in closed form.

The error of a blend of one song is a quadratic function of the shares, whose coefficients are inner products of the
estimates with one another and with the true stem. They are summed once, block by block; everything else follows from
them. Errors are divided by the energy of the true stem, so that loud songs do not decide alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

T = TypeVar("T")

Shares = npt.NDArray[np.float64]
"""float64 (estimates,), not negative, with the sum 1."""

SDR_EPSILON = 1e-7
"""Added to both energies, as in the challenges' global SDR."""

SILENT_RMS = 1e-4
"""A stem below this (−80 dB) is silent: it has no SDR, and its song does not count for this source."""

CONFIDENCE = 0.95


@dataclass
class Products:
    """Inner products of one source of one song.

    Attributes:
        n: number of estimates.
        gram: inner products of the estimates with one another, (n, n).
        cross: inner products of the estimates with the true stem, (n,).
        energy: energy of the true stem.
        n_values: number of its samples, of all channels.
    """

    n: int
    gram: npt.NDArray[np.float64] = field(init=False)
    cross: npt.NDArray[np.float64] = field(init=False)
    energy: float = 0.0
    n_values: int = 0

    def __post_init__(self) -> None:
        self.gram, self.cross = np.zeros((self.n, self.n)), np.zeros(self.n)

    def add(self, reference: npt.ArrayLike, estimates: npt.ArrayLike) -> None:
        """Add a block: the true stem (channels, samples) and the estimates (n, channels, samples)."""
        rows = np.asarray(estimates, np.float64).reshape(self.n, -1)
        true = np.asarray(reference, np.float64).reshape(-1)
        self.gram += rows @ rows.T
        self.cross += rows @ true
        self.energy += float(true @ true)
        self.n_values += true.size

    @property
    def is_silent(self) -> bool:
        """Whether the true stem is silent."""
        return self.energy <= SILENT_RMS**2 * self.n_values

    def error(self, shares: npt.ArrayLike) -> float:
        """Return the energy of the true stem minus the blend."""
        weights = np.asarray(shares, np.float64)
        return max(0.0, float(self.energy - 2 * weights @ self.cross + weights @ self.gram @ weights))

    def sdr(self, shares: npt.ArrayLike) -> float:
        """Return the global SDR of the blend, in dB."""
        return float(10 * np.log10((self.energy + SDR_EPSILON) / (self.error(shares) + SDR_EPSILON)))


def best_shares(songs: Sequence[Products]) -> Shares:
    """Return the shares with the least error over some songs, relative to the energies of their true stems.

    The minimum on the simplex lies inside one of its faces; each face is solved exactly.

    Raises:
        ValueError: there is no song.
    """
    if not songs:
        raise ValueError("there is no song to fit shares on")
    weights = [1 / (song.energy + SDR_EPSILON) for song in songs]
    gram = np.tensordot(weights, np.stack([song.gram for song in songs]), axes=1)
    cross = np.tensordot(weights, np.stack([song.cross for song in songs]), axes=1)
    n = songs[0].n
    best, least = np.full(n, 1 / n), np.inf
    for size in range(1, n + 1):
        for face in map(list, combinations(range(n), size)):
            found = _on_face(gram[np.ix_(face, face)], cross[face])
            if found is None:
                continue
            shares = np.zeros(n)
            shares[face] = found
            error = float(shares @ gram @ shares - 2 * shares @ cross)
            if error < least - 1e-12:
                best, least = shares, error
    return best


def _on_face(gram: npt.NDArray[np.float64], cross: npt.NDArray[np.float64]) -> Shares | None:
    """Return the minimum with the sum 1; None if a share is negative."""
    n = len(cross)
    system = np.zeros((n + 1, n + 1))
    system[:n, :n], system[:n, n], system[n, :n] = gram, 1, 1
    solved = np.linalg.lstsq(system, np.append(cross, 1.0), rcond=None)[0][:n]
    return np.clip(solved, 0, None) if solved.min() > -1e-9 and abs(solved.sum() - 1) < 1e-6 else None


@dataclass(frozen=True)
class Gain:
    """Gain of a fit on held-out songs.

    Attributes:
        mean: over the songs, in dB.
        low: lower end of the 95 % interval of the mean (Student); equal to ``mean`` for fewer than two songs.
        high: upper end.
        n_songs: number of songs.
    """

    mean: float
    low: float
    high: float
    n_songs: int

    @property
    def is_positive(self) -> bool:
        """Whether there is a gain: its mean over at least one song is above zero."""
        return self.n_songs > 0 and self.mean > 0

    @classmethod
    def of(cls, gains: Sequence[float]) -> Gain:
        """Return the statistics of the gains of single songs, in dB."""
        n, mean = len(gains), float(np.mean(gains)) if gains else 0.0
        if n < 2:
            return cls(mean, mean, mean, n)
        half = float(student.ppf(0.5 + CONFIDENCE / 2, n - 1) * np.std(gains, ddof=1) / np.sqrt(n))
        return cls(mean, mean - half, mean + half, n)


def held_out_gain(songs: Sequence[Products]) -> Gain:
    """Return the leave-one-out gain of the best shares over the best single estimate."""
    return held_out(songs, lambda song, others: song.sdr(best_shares(others)) - song.sdr(best_single(others)))


def held_out(songs: Sequence[T], gain_of: Callable[[T, Sequence[T]], float]) -> Gain:
    """Return the leave-one-out gain in dB; ``gain_of`` takes one song and all others."""
    others = ([*songs[:index], *songs[index + 1 :]] for index in range(len(songs)))
    return Gain.of([gain_of(song, rest) for song, rest in zip(songs, others, strict=True) if rest])


def audible(songs: Sequence[Products]) -> list[Products]:
    """Return the songs whose true stem is not silent; all of them if it is silent in all."""
    return [song for song in songs if not song.is_silent] or list(songs)


def best_single(songs: Sequence[Products]) -> Shares:
    """Return the shares that take one estimate alone: that of the highest mean SDR."""
    alone = np.eye(songs[0].n)
    best: Shares = alone[int(np.argmax([np.mean([song.sdr(shares) for song in songs]) for shares in alone]))]
    return best


def sweep(songs: Sequence[Products], first: int, second: int, *, steps: int = 10) -> list[tuple[float, float]]:
    """Return the share of the first of two estimates, from 0 to 1, and the mean SDR of their blend in dB."""
    found = []
    for step in range(steps + 1):
        shares = np.zeros(songs[0].n)
        shares[first], shares[second] = step / steps, 1 - step / steps
        found.append((step / steps, float(np.mean([song.sdr(shares) for song in songs]))))
    return found
