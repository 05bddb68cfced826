"""The Mixer by gradient descent: as published, RMSprop over random batches of windows, or the same until it converges.

The gradients come from the windows' moments, which hold all that the squared error depends on: they equal those of
the waveforms, at no cost.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from training.phase2.statistics import N_INPUTS, N_OUTPUTS, MixerStatistics, mean_sdr, total, unchanged

logger = logging.getLogger(__name__)

MAX_ROUNDS = 12
"""Of a descent that is to converge; the last one has 2048 times the epochs of the first."""


@dataclass(frozen=True, kw_only=True)
class DescentSettings:
    """How the Mixer descends; the defaults are the published values, but for ``start``.

    Attributes:
        learning_rate: of RMSprop at torch's defaults.
        batch: windows of a step.
        epochs: at the published, constant rate; of the first round where there is a tolerance.
        seed: of the order of windows, and of random weights.
        start: ``identity`` changes nothing; ``random`` is a linear layer as torch draws it, as published.
        tolerance: when given, the rate falls to zero over a round of epochs, and rounds follow one another, each twice
            as long, until one lowers the error over all windows by less than this share.
    """

    learning_rate: float = 0.003
    batch: int = 16
    epochs: int = 10
    seed: int = 2021
    start: Literal["identity", "random"] = "identity"
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.learning_rate <= 0.0 or min(self.batch, self.epochs) < 1:
            raise ValueError(f"rate, batch and epochs must be positive: {self}")
        if self.tolerance is not None and not 0.0 < self.tolerance < 1.0:
            raise ValueError(f"tolerance={self.tolerance} must be between 0 and 1")


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
        validation: moments of whole songs; only for a descent without tolerance, since a converged one has one end.
    """
    descent = _Descent(windows, settings)
    if settings.tolerance is not None:
        if validation:
            raise ValueError(f"no epoch is chosen from a descent that converges: tolerance={settings.tolerance}")
        return _converged(descent, settings.epochs, settings.learning_rate, settings.tolerance)
    best, best_sdr = unchanged(), -np.inf
    for _ in range(settings.epochs):
        descent.epoch(settings.learning_rate)
        scores = mean_sdr(song.sdr(descent.matrix) for song in validation) if validation else {}
        sdr = float(np.mean(list(scores.values()))) if scores else np.inf
        if sdr >= best_sdr:
            best, best_sdr = descent.matrix, sdr
    return best


def _converged(descent: _Descent, first_epochs: int, learning_rate: float, tolerance: float) -> npt.NDArray[np.float32]:
    """The Mixer after rounds of falling rates, of which the last made no difference."""
    error = np.inf
    for number in range(MAX_ROUNDS):
        epochs = first_epochs << number
        for epoch in range(epochs):
            descent.epoch(learning_rate * (1.0 - epoch / epochs))
        previous, error = error, descent.error()
        logger.info("after a round of %d epochs the error is %.6g", epochs, error)
        if error >= (1.0 - tolerance) * previous:
            return descent.matrix
    logger.warning("the Mixer has not converged within %g; another learning rate may help", tolerance)
    return descent.matrix


class _Descent:
    """Weights, optimiser and order of windows, between epochs."""

    def __init__(self, windows: Sequence[MixerStatistics], settings: DescentSettings) -> None:
        self._rng = np.random.default_rng(settings.seed)
        self._batch = settings.batch
        self._gram, self._cross = np.stack([w.gram for w in windows]), np.stack([w.cross for w in windows])
        self._whole = total(windows)
        self._window_samples = self._whole.n_samples / len(windows)  # so that those of a shorter window count no more
        self._weight = torch.nn.Parameter(torch.from_numpy(_first_weights(settings)))
        self._optimiser = torch.optim.RMSprop([self._weight])

    @property
    def matrix(self) -> npt.NDArray[np.float32]:
        """``(8, 10)``."""
        return self._weight.detach().numpy().astype(np.float32)

    def error(self) -> float:
        """Squared error over all windows."""
        return float(self._whole.error_energy(self._weight.detach().numpy()).sum())

    def epoch(self, learning_rate: float) -> None:
        """A step for every batch, in random order."""
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        order = self._rng.permutation(len(self._gram))
        for first in range(0, len(order), self._batch):
            batch = order[first : first + self._batch]
            n_samples = len(batch) * self._window_samples
            gram, cross = self._gram[batch].sum(axis=0), self._cross[batch].sum(axis=0)
            self._weight.grad = _gradient(self._weight.detach(), gram, cross, n_samples)
            self._optimiser.step()


def _first_weights(settings: DescentSettings) -> npt.NDArray[np.float64]:
    if settings.start == "identity":
        return unchanged().astype(np.float64)
    bound = 1.0 / np.sqrt(N_INPUTS)
    return np.random.default_rng([settings.seed, N_INPUTS]).uniform(-bound, bound, (N_OUTPUTS, N_INPUTS))


def _gradient(
    weight: torch.Tensor, gram: npt.NDArray[np.float64], cross: npt.NDArray[np.float64], n_samples: float
) -> torch.Tensor:
    """Of the mean squared error over the windows' samples and the eight channels."""
    slope = weight @ torch.from_numpy(gram) - torch.from_numpy(cross)
    return 2.0 * slope / (n_samples * N_OUTPUTS)
