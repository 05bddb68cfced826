"""Phase 2: the Mixer, an 8x10 matrix from four stereo estimates and the mixture to four stereo stems.

Fitted in closed form on frozen separators. Left and right are treated alike: in the basis of mid and
side the matrix falls into two of 4x5, each a ridge regression that shrinks towards "change nothing".
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from my_submission.stems import MUSIC_SOURCES, Waveform

WEIGHT_KEY = "linear.weight"
N_SOURCES = len(MUSIC_SOURCES)

Matrix = npt.NDArray[np.float64]


def mixer_inputs(estimates: Waveform, mixture: Waveform) -> Waveform:
    """``(4, 2, samples)`` estimates and ``(2, samples)`` mixture as the Mixer's ``(5, 2, samples)``."""
    return np.concatenate((estimates, mixture[None]))


def fit_mixer(songs: Iterable[tuple[Waveform, Waveform]], *, ridge: float) -> npt.NDArray[np.float32]:
    """The matrix that minimises the squared error over songs of equal weight.

    Args:
        songs: per song the inputs ``(5, 2, samples)`` and the true stems ``(4, 2, samples)``, sources
            in the order bass, drums, other, vocals, the mixture last.
        ridge: strength of the pull towards the identity, relative to the mean input power.

    Returns:
        ``float32 (8, 10)``: rows bassL, bassR … vocalsR, columns the same and mixL, mixR.
    """
    gram = np.zeros((2, N_SOURCES + 1, N_SOURCES + 1))
    cross = np.zeros((2, N_SOURCES + 1, N_SOURCES))
    for inputs, stems in songs:
        weight = 1.0 / max(1e-9, float(np.sum(np.square(inputs[-1], dtype=np.float64))))
        for part, sign in enumerate((1.0, -1.0)):
            x = (inputs[:, 0] + sign * inputs[:, 1]).astype(np.float64)
            y = (stems[:, 0] + sign * stems[:, 1]).astype(np.float64)
            gram[part] += weight * (x @ x.T)
            cross[part] += weight * (x @ y.T)
    mid, side = (_ridge(gram[part], cross[part], ridge) for part in range(2))
    return _left_right(mid, side)


def _ridge(gram: Matrix, cross: Matrix, ridge: float) -> Matrix:
    """``(4, 5)`` minimiser of the squared error plus the distance to the identity."""
    unchanged = np.eye(N_SOURCES + 1, N_SOURCES)
    pull = ridge * np.trace(gram) / len(gram)
    solution = np.linalg.solve(gram + pull * np.eye(len(gram)), cross + pull * unchanged)
    return np.asarray(solution.T)


def _left_right(mid: Matrix, side: Matrix) -> npt.NDArray[np.float32]:
    """The two matrices of mid and side as one over interleaved left and right channels."""
    same, other = (mid + side) / 2.0, (mid - side) / 2.0
    matrix = np.kron(same, np.eye(2)) + np.kron(other, np.eye(2)[::-1])
    return np.asarray(matrix, dtype=np.float32)


def apply_mixer(matrix: npt.NDArray[np.float32], inputs: Waveform) -> Waveform:
    """``(5, 2, samples)`` to the mixed ``(4, 2, samples)``."""
    return (matrix @ inputs.reshape(2 * (N_SOURCES + 1), -1)).reshape(N_SOURCES, 2, -1)


def save_mixer(matrix: npt.NDArray[np.float32], path: Path) -> None:
    """Writes the published format, a torch zip with the key ``linear.weight``, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save({WEIGHT_KEY: torch.from_numpy(np.ascontiguousarray(matrix))}, partial)
    os.replace(partial, path)
