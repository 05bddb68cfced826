"""Differentiable multichannel Wiener filter in torch, for losses on its output.

It is the filter of :mod:`my_submission.dsp.wiener` without a residual, for one whole window: powers and spatial
covariances are estimated from the masked mixture.
"""

from __future__ import annotations

import torch
from torch import Tensor

from my_submission.dsp.wiener import EPS, LOUDEST, MAX_CHANNELS


def filtered(masks: Tensor, mixture: Tensor, *, iterations: int = 1, soft_power: float | None = None) -> Tensor:
    """Filter a batch of windows.

    Args:
        masks: float ``[N, sources, channels, bins, frames]``.
        mixture: complex ``[N, channels, bins, frames]``, one or two channels.
        iterations: number of estimations of powers and covariances; 0 returns the masked mixture.
        soft_power: exponent of the masked magnitudes; their ratios then mask the mixture first. None masks it by
            ``masks``.

    Returns:
        complex64 ``[N, sources, channels, bins, frames]``.

    Raises:
        ValueError: there are more than two channels.
    """
    if mixture.shape[1] > MAX_CHANNELS:
        raise ValueError(f"{mixture.shape[1]} channels where 1 or {MAX_CHANNELS} are expected")
    estimates = (masks if soft_power is None else _ratios(masks, mixture, soft_power)) * mixture[:, None]
    if iterations:
        scale = max(1.0, float(mixture.detach().abs().max()) / LOUDEST)
        x = mixture.to(torch.complex128) / scale
        estimates = estimates.to(torch.complex128) / scale
        for _ in range(iterations):
            estimates = _filtered_once(estimates, x)
        estimates = estimates * scale
    return estimates.to(torch.complex64)


def _ratios(masks: Tensor, mixture: Tensor, power: float) -> Tensor:
    """Return each source's share of the sum of the masked magnitudes, raised to ``power``."""
    magnitudes = (masks.double() * mixture.abs().double()[:, None]) ** power
    return magnitudes / (magnitudes.sum(dim=1, keepdim=True) + EPS)


def _filtered_once(y: Tensor, x: Tensor) -> Tensor:
    powers = (y.real.square() + y.imag.square()).mean(dim=2)
    outer = torch.einsum("njaft,njbft->njfab", y, y.conj())
    covariances = outer / (powers.sum(-1)[..., None, None] + EPS)
    mixed = torch.einsum("njft,njfab->nftab", powers.to(y.dtype), covariances)
    mixed = mixed + EPS**0.5 * torch.eye(x.shape[1], dtype=y.dtype, device=y.device)
    whitened = _solved(mixed, x.permute(0, 2, 3, 1))
    return powers[:, :, None] * torch.einsum("njfab,nftb->njaft", covariances, whitened)


def _solved(matrices: Tensor, x: Tensor) -> Tensor:
    """Solve systems of one or two equations in closed form, ``[..., C, C]`` and ``[..., C]`` to ``[..., C]``."""
    if x.shape[-1] == 1:
        return x / matrices[..., 0]
    (a, b), (c, d) = (row.unbind(-1) for row in matrices.unbind(-2))
    first, second = x.unbind(-1)
    return torch.stack((d * first - b * second, a * second - c * first), dim=-1) / (a * d - b * c)[..., None]
