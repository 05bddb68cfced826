"""Second moments of the inputs and targets of a linear map.

For a matrix W the squared error over a window is ``tr(W G Wᵀ) − 2 tr(W Cᵀ) + E`` with the moments below. After one
separation per song, fits, gradients and scores are exact computations on 10 by 10 values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from evaluator.metrics import GLOBAL_SDR_EPSILON
from my_submission.stems import MUSIC_SOURCES, Waveform
from training.data.stems import SILENT_SONG_RMS

N_SOURCES = len(MUSIC_SOURCES)
N_INPUTS = 2 * (N_SOURCES + 1)
N_OUTPUTS = 2 * N_SOURCES

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MixerStatistics:
    """Moments of a window or song.

    Attributes:
        gram: G, inputs by inputs ``(10, 10)``: bassL, bassR … vocalsR, mixL, mixR.
        cross: C, true stems by inputs ``(8, 10)``.
        energy: energy per channel of the true stems ``(8,)``.
        n_samples: length in samples.
    """

    gram: Matrix
    cross: Matrix
    energy: Matrix
    n_samples: int

    def __add__(self, other: MixerStatistics) -> MixerStatistics:
        return MixerStatistics(
            self.gram + other.gram,
            self.cross + other.cross,
            self.energy + other.energy,
            self.n_samples + other.n_samples,
        )

    def scaled(self, factor: float) -> MixerStatistics:
        """Return the moments scaled by ``factor``."""
        return MixerStatistics(self.gram * factor, self.cross * factor, self.energy * factor, self.n_samples)

    def mirrored(self) -> MixerStatistics:
        """Return the mean of these moments and those with left and right swapped."""
        inputs, outputs = _other_side(N_INPUTS), _other_side(N_OUTPUTS)
        return MixerStatistics(
            (self.gram + self.gram[np.ix_(inputs, inputs)]) / 2.0,
            (self.cross + self.cross[np.ix_(outputs, inputs)]) / 2.0,
            (self.energy + self.energy[outputs]) / 2.0,
            self.n_samples,
        )

    @property
    def mixture_energy(self) -> float:
        """Energy of both channels of the mixture."""
        return float(self.gram[-1, -1] + self.gram[-2, -2])

    def error_energy(self, matrix: npt.NDArray[np.floating]) -> Matrix:
        """Return the squared error per output channel ``(8,)`` of a Mixer ``(8, 10)``."""
        w = matrix.astype(np.float64)
        error = np.einsum("ij,jk,ik->i", w, self.gram, w) - 2.0 * np.sum(w * self.cross, axis=1) + self.energy
        return np.asarray(np.maximum(error, 0.0))  # rounding may make it negative

    def sdr(self, matrix: npt.NDArray[np.floating]) -> dict[str, float]:
        """Return the global SDR in dB of every non-silent source after a Mixer, exact up to float64 rounding."""
        signal = self.energy.reshape(N_SOURCES, 2).sum(axis=1)
        error = self.error_energy(matrix).reshape(N_SOURCES, 2).sum(axis=1)
        decibels = 10.0 * np.log10((signal + GLOBAL_SDR_EPSILON) / (error + GLOBAL_SDR_EPSILON))
        min_power = SILENT_SONG_RMS**2 * 2 * self.n_samples
        return {s: float(db) for s, db, power in zip(MUSIC_SOURCES, decibels, signal, strict=True) if power > min_power}


def _other_side(n_channels: int) -> npt.NDArray[np.intp]:
    """Return the index of the opposite channel, for interleaved left and right channels."""
    return np.arange(n_channels) ^ 1


def unchanged() -> npt.NDArray[np.float32]:
    """Return the identity Mixer, ``float32 (8, 10)``."""
    return np.eye(N_OUTPUTS, N_INPUTS, dtype=np.float32)


def mixer_inputs(estimates: Waveform, mixture: Waveform) -> Waveform:
    """Stack estimates ``(4, 2, samples)`` and mixture ``(2, samples)`` to ``(5, 2, samples)``."""
    return np.concatenate((estimates, mixture[None]))


def moments(inputs: Waveform, stems: Waveform) -> MixerStatistics:
    """Return the moments of inputs ``(5, 2, samples)`` and true stems ``(4, 2, samples)``."""
    x = inputs.reshape(N_INPUTS, -1).astype(np.float64)
    y = stems.reshape(N_OUTPUTS, -1).astype(np.float64)
    return MixerStatistics(x @ x.T, y @ x.T, np.sum(y * y, axis=1), x.shape[1])


def windows(inputs: Waveform, stems: Waveform, window_samples: int) -> Iterator[MixerStatistics]:
    """Yield the moments of consecutive windows; the last may be shorter."""
    for start in range(0, inputs.shape[-1], window_samples):
        span = slice(start, start + window_samples)
        yield moments(inputs[..., span], stems[..., span])


def total(parts: Iterable[MixerStatistics]) -> MixerStatistics:
    """Return the sum of one or more moments."""
    return reduce(lambda first, second: first + second, parts)


def mean_sdr(song_scores: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the mean per source over the songs that have it."""
    scores = list(song_scores)
    found = {source: [score[source] for score in scores if source in score] for source in MUSIC_SOURCES}
    return {source: float(np.mean(values)) for source, values in found.items() if values}
