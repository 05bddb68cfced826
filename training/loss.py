"""The loss: energy of the error over energy of the mixture, per window and source."""

from __future__ import annotations

import torch
from torch import Tensor

SILENT_POWER = 1e-4
"""Mean squared spectrum added to the mixture's, so that a near-silent window cannot dominate a batch."""


def energy_ratio(estimates: Tensor, targets: Tensor, mixture: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over windows and sources of ``|error|^2 / |mixture|^2``, a scalar.

    A linear ratio: it stays finite and small for the silent stems that most windows contain, where
    a logarithm would reward nothing but silence.

    Args:
        estimates: ``[N, sources, 4, bins, frames]``.
        targets: the same shape.
        mixture: ``[N, 4, bins, frames]``.
        weights: ``[sources]``.
    """
    difference = estimates - targets
    error = torch.mean(difference * difference, dim=(2, 3, 4))
    power = torch.mean(mixture * mixture, dim=(1, 2, 3)) + SILENT_POWER
    return torch.mean(error / power[:, None] * weights)
