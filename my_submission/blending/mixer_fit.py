"""The best Mixer over the stems of a blend from true stems, in closed form: a ridge regression towards the identity.

All that a fit needs of a song are inner products, which are summed once, block by block. Every source has its own rows,
fitted with errors relative to the energy of its true stem; songs in which it is silent do not count for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from my_submission.blending.fit import SDR_EPSILON, SILENT_RMS

Matrix = npt.NDArray[np.float64]

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge parameters, relative to the mean energy of the estimates; the identity is the prior."""

DEFAULT_RIDGE = 1e-1
"""Ridge parameter for a single song, for which cross-validation is impossible."""

MAX_FOLDS = 5
"""Largest number of folds of the cross-validation that chooses the ridge parameter."""


@dataclass
class MixerProducts:
    """Inner products of all estimates and the mixture of one song.

    Attributes:
        n_sources: number of sources; two rows for each.
        n_estimates: number of estimates; two columns for each, then two for the mixture. Default: one per source.
    """

    n_sources: int
    n_estimates: int = 0
    n_samples: int = field(default=0, init=False)
    gram: Matrix = field(init=False)
    cross: Matrix = field(init=False)
    energies: Matrix = field(init=False)

    def __post_init__(self) -> None:
        rows, columns = 2 * self.n_sources, 2 * (self.n_estimates or self.n_sources) + 2
        self.gram, self.cross = np.zeros((columns, columns)), np.zeros((rows, columns))
        self.energies = np.zeros(rows)

    def add(self, references: npt.ArrayLike, estimates: npt.ArrayLike, mixture: npt.ArrayLike) -> None:
        """Add a block: true stems (sources, 2, n), estimates (estimates, 2, n), mixture (2, n)."""
        true = np.asarray(references, np.float64).reshape(len(self.cross), -1)
        columns = np.concatenate([np.asarray(estimates, np.float64).reshape(len(self.gram) - 2, -1), mixture])
        self.gram += columns @ columns.T
        self.cross += true @ columns.T
        self.energies += np.square(true).sum(axis=1)
        self.n_samples += true.shape[1]

    def combined(self, combinations: Matrix) -> MixerProducts:
        """Return the products of other estimates.

        Args:
            combinations: row by row, a column of the result as a combination of the columns of this one.
        """
        made = MixerProducts(self.n_sources)
        made.gram, made.cross = combinations @ self.gram @ combinations.T, self.cross @ combinations.T
        made.energies, made.n_samples = self.energies, self.n_samples
        return made

    @property
    def audible(self) -> npt.NDArray[np.bool_]:
        """Whether each source is not silent, (sources,)."""
        found: npt.NDArray[np.bool_] = self._of_sources(self.energies) > SILENT_RMS**2 * 2 * max(1, self.n_samples)
        return found

    def sdr(self, matrix: Matrix) -> Matrix:
        """Return the global SDR of every source after a Mixer (2 · sources, 2 · sources + 2), in dB."""
        errors = self.energies - 2 * np.sum(matrix * self.cross, axis=1) + np.sum((matrix @ self.gram) * matrix, axis=1)
        errors = self._of_sources(np.maximum(errors, 0))
        decibels: Matrix = 10 * np.log10((self._of_sources(self.energies) + SDR_EPSILON) / (errors + SDR_EPSILON))
        return decibels

    def gain_of(self, matrix: Matrix) -> float:
        """Return the mean gain of a Mixer over none, in dB, over the sources that are not silent."""
        gains = (self.sdr(matrix) - self.sdr(unchanged(self.n_sources)))[self.audible]
        return float(gains.mean()) if gains.size else 0.0

    def _of_sources(self, rows: Matrix) -> Matrix:
        sums: Matrix = rows.reshape(-1, 2).sum(axis=1)
        return sums


def unchanged(n_sources: int) -> Matrix:
    """Return the identity Mixer, which changes nothing."""
    return np.eye(2 * n_sources, 2 * n_sources + 2)


def best_mixer(songs: Sequence[MixerProducts], *, ridge: float | None = None) -> Matrix:
    """Return the Mixer with the least error over some songs, float64 (2 · sources, 2 · sources + 2).

    Args:
        songs: at least one.
        ridge: regularisation towards the identity; default: the best of :data:`RIDGES` on held-out songs.
    """
    strength = _best_ridge(songs) if ridge is None else ridge
    matrix = unchanged(songs[0].n_sources)
    audible = np.stack([song.audible for song in songs])
    for source in range(songs[0].n_sources):
        rows = slice(2 * source, 2 * source + 2)
        audible_songs = [song for song, is_audible in zip(songs, audible[:, source], strict=True) if is_audible]
        if not audible_songs:
            continue
        weights = [1 / (song.energies[rows].sum() + SDR_EPSILON) for song in audible_songs]
        gram = np.tensordot(weights, np.stack([song.gram for song in audible_songs]), axes=1)
        cross = np.tensordot(weights, np.stack([song.cross[rows] for song in audible_songs]), axes=1)
        pull = strength * np.trace(gram) / len(gram)
        regular = gram + pull * np.eye(len(gram))
        matrix[rows] = np.linalg.lstsq(regular, (cross + pull * matrix[rows]).T, rcond=None)[0].T
    return matrix


def _best_ridge(songs: Sequence[MixerProducts]) -> float:
    """Return the ridge parameter with the largest gain on held-out songs; the largest one of equals."""
    n_folds = min(len(songs), MAX_FOLDS)
    if n_folds < 2:
        return DEFAULT_RIDGE
    gains = dict.fromkeys(reversed(RIDGES), 0.0)
    for fold in range(n_folds):
        others = [song for index, song in enumerate(songs) if index % n_folds != fold]
        for ridge in gains:
            matrix = best_mixer(others, ridge=ridge)
            gains[ridge] += sum(song.gain_of(matrix) for song in songs[fold::n_folds])
    return max(gains, key=lambda ridge: gains[ridge])
