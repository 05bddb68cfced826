"""The Mixer by gradient descent, as published: RMSprop over random batches of windows, the best epoch kept.

The gradients come from the windows' moments, which hold all that the squared error depends on: they equal those of
the waveforms, at no cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from training.phase2.statistics import N_OUTPUTS, MixerStatistics, mean_sdr, total, unchanged


@dataclass(frozen=True, kw_only=True)
class DescentSettings:
    """How the Mixer descends; the defaults are the published values.

    Attributes:
        learning_rate: of RMSprop at torch's defaults.
        batch: windows of a step.
        epochs: at most.
        seed: of the order of windows.
    """

    learning_rate: float = 0.003
    batch: int = 16
    epochs: int = 10
    seed: int = 2021

    def __post_init__(self) -> None:
        if self.learning_rate <= 0.0 or min(self.batch, self.epochs) < 1:
            raise ValueError(f"rate, batch and epochs must be positive: {self}")


def descend(
    windows: Sequence[MixerStatistics],
    settings: DescentSettings,
    *,
    validation: Sequence[MixerStatistics] = (),
) -> npt.NDArray[np.float32]:
    """The Mixer ``float32 (8, 10)`` after the epoch with the best mean SDR over the validation songs, or the last one.

    Args:
        windows: moments of the training windows.
        settings: rate, batch, epochs.
        validation: moments of whole songs.
    """
    rng = np.random.default_rng(settings.seed)
    weight = torch.nn.Parameter(torch.from_numpy(unchanged().astype(np.float64)))
    optimiser = torch.optim.RMSprop([weight], lr=settings.learning_rate)
    best, best_sdr = unchanged(), -np.inf
    for _ in range(settings.epochs):
        order = rng.permutation(len(windows))
        for first in range(0, len(order), settings.batch):
            batch = total(windows[index] for index in order[first : first + settings.batch])
            weight.grad = _gradient(weight.detach(), batch)
            optimiser.step()
        matrix = weight.detach().numpy().astype(np.float32)
        scores = mean_sdr(song.sdr(matrix) for song in validation) if validation else {}
        sdr = float(np.mean(list(scores.values()))) if scores else np.inf
        if sdr >= best_sdr:
            best, best_sdr = matrix, sdr
    return best


def _gradient(weight: torch.Tensor, batch: MixerStatistics) -> torch.Tensor:
    """Of the mean squared error over the windows' samples and the eight channels."""
    slope = weight @ torch.from_numpy(batch.gram) - torch.from_numpy(batch.cross)
    return 2.0 * slope / (batch.n_samples * N_OUTPUTS)
