"""The Mixer by gradient descent: RMSprop over random batches of windows, as published or until convergence.

The gradients are computed from the windows' second moments, which determine the squared error exactly.
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
"""Maximum rounds of a converging descent; each has twice the epochs of the previous one."""


@dataclass(frozen=True, kw_only=True)
class DescentSettings:
    """Settings of the descent; the defaults are the published values, except ``start``.

    Attributes:
        learning_rate: rate of RMSprop, at torch's other defaults.
        batch: windows per step.
        epochs: epochs at a constant rate, as published; with a tolerance, epochs of the first round.
        seed: seed of the order of windows and of random weights.
        start: ``identity``, or ``random`` for torch's initial weights of a linear layer, as published.
        tolerance: if given, the descent runs in rounds, each twice as long as the previous one, with the rate falling
            to zero over a round, until a round reduces the error by less than this share.
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
    """Return the Mixer ``float32 (8, 10)`` of the epoch with the best mean SDR over the validation songs, or the last.

    Args:
        windows: moments of the training windows.
        settings: settings of the descent.
        validation: moments of whole songs; not for a descent with tolerance.
    """
    descent = _Descent(windows, settings)
    if settings.tolerance is not None:
        if validation:
            raise ValueError(f"a converging descent has no best epoch: tolerance={settings.tolerance}")
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
    """Return the Mixer after rounds of falling rates, until one no longer reduces the error."""
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
    """State of the descent: weights, optimiser and order of windows."""

    def __init__(self, windows: Sequence[MixerStatistics], settings: DescentSettings) -> None:
        self._rng = np.random.default_rng(settings.seed)
        self._batch = settings.batch
        self._gram, self._cross = np.stack([w.gram for w in windows]), np.stack([w.cross for w in windows])
        self._whole = total(windows)
        self._window_samples = self._whole.n_samples / len(windows)  # gives samples of shorter windows the same weight
        self._weight = torch.nn.Parameter(torch.from_numpy(_first_weights(settings)))
        self._optimiser = torch.optim.RMSprop([self._weight])

    @property
    def matrix(self) -> npt.NDArray[np.float32]:
        """Current Mixer ``(8, 10)``."""
        return self._weight.detach().numpy().astype(np.float32)

    def error(self) -> float:
        """Return the squared error over all windows."""
        return float(self._whole.error_energy(self._weight.detach().numpy()).sum())

    def epoch(self, learning_rate: float) -> None:
        """Do one step per batch, in random order."""
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
    """Return the gradient of the mean squared error over samples and channels."""
    slope = weight @ torch.from_numpy(gram) - torch.from_numpy(cross)
    return 2.0 * slope / (n_samples * N_OUTPUTS)
