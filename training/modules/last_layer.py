"""Closed-form solution of the last layer of a mask network.

A complex mask is linear in the last layer's weights, and the starter's loss, error energy over mixture energy, is
quadratic in the mask. With trained features, least squares over a few windows replaces hundreds of training steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.optimisation.losses import SILENT_POWER

RIDGE = 1e-4
"""Ridge parameter of the regularisation towards the initial weights, relative to the features' mean power."""


@dataclass(frozen=True)
class TrainingWindow:
    """Input and target of the last layer for one window.

    Attributes:
        features: ``[C, T, rows]``.
        mixture: complex ``[channels, bins_per_row, T, rows]``, with neighbouring bins folded as in the network.
        targets: complex ``[targets, channels, bins_per_row, T, rows]``.
    """

    features: Tensor
    mixture: Tensor
    targets: Tensor


def fold(spectra: Tensor, bins_per_row: int) -> Tensor:
    """Fold ``[..., 2 · channels, bins, T]``, complex as channels, into complex values in the layout of a window."""
    *lead, doubled, bins, frames = spectra.shape
    parts = spectra.reshape(*lead, doubled // 2, 2, bins // bins_per_row, bins_per_row, frames)
    real, imaginary = parts.unbind(dim=-4)
    return torch.complex(real, imaginary).movedim(-3, -1).contiguous()


def solve(windows: Iterable[TrainingWindow], start: Tensor, rows: Sequence[int]) -> Tensor:
    """Return the last layer that minimises the mean of error energy over mixture energy.

    Args:
        windows: windows to fit to.
        start: initial weights ``[targets, channels, 2 (real, imaginary), bins_per_row, C + 1]``, the bias last; the
            ridge regularises towards them.
        rows: targets to solve for; the others are unchanged.

    Returns:
        Weights of the shape and type of ``start``.
    """
    n_channels, _, bins_per_row, size = start.shape[1:]
    gram = torch.zeros(n_channels, bins_per_row, size, size, dtype=torch.float64)
    moments = torch.zeros(len(rows), n_channels, 2, bins_per_row, size, dtype=torch.float64)
    for window in windows:
        ones = torch.ones_like(window.features[:1])
        basis = torch.cat((window.features, ones)).flatten(1)
        power = 1.0 / (window.mixture.abs().square().mean() / 2.0 + SILENT_POWER)
        energy = window.mixture.abs().square().flatten(2) * power
        gram += torch.einsum("in,ckn,jn->ckij", basis, energy, basis)
        for place, row in enumerate(rows):
            product = (window.targets[row] * window.mixture.conj()).flatten(2) * power
            moments[place, :, 0] += torch.einsum("ckn,in->cki", product.real, basis)
            moments[place, :, 1] += torch.einsum("ckn,in->cki", product.imag, basis)
    ridge = RIDGE * gram.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[..., None, None] * torch.eye(size, dtype=torch.float64)
    solved = start.clone()
    for place, row in enumerate(rows):
        pulled = moments[place] + torch.einsum("ckij,cpkj->cpki", ridge, start[row].double())
        best = torch.linalg.solve((gram + ridge)[:, None], pulled.unsqueeze(-1)).squeeze(-1)
        solved[row] = best.to(start.dtype)
    return solved
