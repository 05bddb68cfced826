"""The Mixer as a ridge regression towards the identity, whose parameter is chosen by cross-validation.

If left and right are treated in the same way, the matrix decomposes into two of 4 by 5 for mid and side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.phase2.objective import SONGS_EQUAL, Objective
from training.phase2.statistics import N_SOURCES, Matrix, MixerStatistics, mean_sdr, total


@dataclass(frozen=True)
class RidgeChoice:
    """Result of the cross-validation.

    Attributes:
        ridge: the best candidate.
        held_out_sdr_db: mean global SDR over sources and left-out songs, per candidate.
    """

    ridge: float
    held_out_sdr_db: dict[float, float]


def fit_mixer(
    songs: Sequence[MixerStatistics], *, ridge: float, objective: Objective = SONGS_EQUAL
) -> npt.NDArray[np.float32]:
    """Return the matrix that minimises the squared error over songs.

    Args:
        songs: moments of the songs.
        ridge: parameter of the ridge towards the identity, relative to the mean input power.
        objective: weights of the songs.

    Returns:
        ``float32 (8, 10)``: rows bassL, bassR … vocalsR, columns the same and mixL, mixR.
    """
    if ridge < 0.0:
        raise ValueError(f"ridge={ridge} must not be negative")
    moments = total(objective.windows([[song] for song in songs]))
    if not objective.is_mirrored:
        return _ridge(moments.gram, moments.cross, ridge).astype(np.float32)
    gram = moments.gram.reshape(N_SOURCES + 1, 2, N_SOURCES + 1, 2)
    cross = moments.cross.reshape(N_SOURCES, 2, N_SOURCES + 1, 2)
    mid, side = (_ridge(_part(gram, sign), _part(cross, sign), ridge) for sign in (1.0, -1.0))
    return _left_right(mid, side)


def choose_ridge(
    songs: Sequence[MixerStatistics], candidates: Sequence[float], *, objective: Objective = SONGS_EQUAL
) -> RidgeChoice:
    """Choose a ridge by leave-one-song-out cross-validation.

    Raises:
        ValueError: fewer than two songs, or no candidate.
    """
    if len(songs) < 2 or not candidates:
        raise ValueError(f"cross-validation of {len(candidates)} candidates over {len(songs)} songs is not possible")
    held_out = {}
    for ridge in candidates:
        scores = []
        for index, song in enumerate(songs):
            others = [other for position, other in enumerate(songs) if position != index]
            scores.append(song.sdr(fit_mixer(others, ridge=ridge, objective=objective)))
        held_out[ridge] = float(np.mean(list(mean_sdr(scores).values())))
    return RidgeChoice(max(held_out, key=lambda ridge: held_out[ridge]), held_out)


def _part(moments: npt.NDArray[np.float64], sign: float) -> Matrix:
    """Return the moments of left + sign · right, from moments by source and channel."""
    return np.asarray(moments[:, 0, :, 0] + moments[:, 1, :, 1] + sign * (moments[:, 0, :, 1] + moments[:, 1, :, 0]))


def _ridge(gram: Matrix, cross: Matrix, ridge: float) -> Matrix:
    """Return the minimiser of squared error plus distance to the identity, in the shape of ``cross``."""
    pull = ridge * np.trace(gram) / len(gram)
    if np.trace(gram) == 0.0:  # mono songs have no side signal
        return np.eye(*cross.shape)
    regularised = gram + pull * np.eye(len(gram))
    target = cross + pull * np.eye(*cross.shape)
    return np.asarray(np.linalg.lstsq(regularised, target.T, rcond=None)[0].T)


def _left_right(mid: Matrix, side: Matrix) -> npt.NDArray[np.float32]:
    """Combine the matrices of mid and side into one over interleaved left and right channels."""
    same, other = (mid + side) / 2.0, (mid - side) / 2.0
    matrix = np.kron(same, np.eye(2)) + np.kron(other, np.eye(2)[::-1])
    return np.asarray(matrix, dtype=np.float32)
