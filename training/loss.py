"""The loss: energy of the error over energy of the target and a share of the mixture's."""

from __future__ import annotations

import torch
from torch import Tensor

MIXTURE_SHARE = 0.2
"""Share of the mixture's energy added to the target's, so that silent targets have a finite weight."""

SILENT_POWER = 1e-4
"""Mean squared spectrum added as well, so that a near-silent window cannot dominate a batch."""


def energy_ratio(estimates: Tensor, targets: Tensor, mixture: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over windows and sources of ``|error|^2 / (|target|^2 + share |mixture|^2)``, a scalar.

    A linear ratio: it stays finite and small for the silent stems that most windows contain, where
    a logarithm would reward nothing but silence. Dividing by the target as well counts a quiet
    source's error as the SDR does, relative to the source.

    Args:
        estimates: ``[N, sources, 4, bins, frames]``.
        targets: the same shape.
        mixture: ``[N, 4, bins, frames]``.
        weights: ``[sources]``.
    """
    difference = estimates - targets
    error = torch.mean(difference * difference, dim=(2, 3, 4))
    target_power = torch.mean(targets * targets, dim=(2, 3, 4))
    mixture_power = torch.mean(mixture * mixture, dim=(1, 2, 3))
    scale = target_power + MIXTURE_SHARE * mixture_power[:, None] + SILENT_POWER
    return torch.mean(error / scale * weights)
