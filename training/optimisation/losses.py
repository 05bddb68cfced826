"""Training losses.

Losses take waveforms or spectra ``[N, targets, ...]`` and the weights of the targets, and return a scalar.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import torch
from torch import Tensor

from my_submission.geometry import StftGeometry
from my_submission.networks.spectra import from_channels

WaveformLossName = Literal["mse", "l1", "negative-sdr"]
LossName = Literal[WaveformLossName, "spectrum-mse", "energy-ratio", "log-energy-ratio", "masking", "combination"]
WAVEFORM_LOSSES: tuple[str, ...] = get_args(WaveformLossName)
LOSSES: tuple[str, ...] = get_args(LossName)

SILENT_POWER = 1e-4
"""Power added to the mixture's mean squared spectrum, so that near-silent windows do not dominate a batch."""

LOG_RATIO_SHARE = 0.05
"""Regularisation of the logarithmic energy ratio, as a share of the mixture's power."""

SDR_EPSILON = 1e-7
SHARE_EPSILON = 1e-10
SHARE_SCALE = 10.0
"""Weight of the waveform term of the masking loss (``mcoeff`` in the published configuration)."""


@dataclass(frozen=True)
class LossValues:
    """Estimates and targets of a batch.

    Attributes:
        spectra: estimates, float32 ``[N, targets, 4, bins, frames]``.
        target_waves: targets ``[N, targets, 2, samples]``.
        target_spectra: targets in the shape of ``spectra``.
        mixture_waves: mixtures ``[N, 2, samples]``.
        mixture_spectra: mixtures ``[N, 4, bins, frames]``.
        stft: transform between waveforms and spectra.
    """

    spectra: Tensor
    target_waves: Tensor
    target_spectra: Tensor
    mixture_waves: Tensor
    mixture_spectra: Tensor
    stft: StftGeometry

    def waves(self) -> Tensor:
        """Return the estimates as waveforms ``[N, targets, 2, samples]``; bins above the kept ones are zero."""
        n_samples = self.target_waves.shape[-1]
        waves = from_channels(self.spectra.flatten(0, 1), self.stft, samples=n_samples)
        return waves.reshape(self.target_waves.shape)


def loss_of(name: LossName, outcome: LossValues, weights: Tensor) -> Tensor:
    """Return the named loss of a batch; ``weights`` has one value per target."""
    if name in WAVEFORM_LOSSES:
        return waveform_loss(name, outcome.waves(), outcome.target_waves, weights)
    if name == "spectrum-mse":
        return spectrum_mse(outcome.spectra, outcome.target_spectra, weights)
    if name == "energy-ratio":
        return energy_ratio(outcome.spectra, outcome.target_spectra, outcome.mixture_spectra, weights)
    if name == "log-energy-ratio":
        return log_energy_ratio(outcome.spectra, outcome.target_spectra, outcome.mixture_spectra, weights)
    return combination(outcome) if name == "combination" else masking(outcome, weights)


def waveform_loss(name: str, estimates: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the named loss of waveforms ``[N, targets, channels, samples]``.

    Raises:
        ValueError: the loss needs spectra.
    """
    if name == "mse":
        return waveform_mse(estimates, targets, weights)
    if name == "l1":
        return waveform_l1(estimates, targets, weights)
    if name == "negative-sdr":
        return negative_sdr(estimates, targets)
    raise ValueError(f"loss={name} needs spectra; waveforms have {', '.join(WAVEFORM_LOSSES)}")


def waveform_mse(estimates: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean squared error over the full window, as in the published code of the KUIELab networks."""
    return torch.mean((estimates - targets).square().mean(dim=(2, 3)) * weights)


def waveform_l1(estimates: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean absolute error over the full window, as in the paper of the KUIELab networks."""
    return torch.mean((estimates - targets).abs().mean(dim=(2, 3)) * weights)


def spectrum_mse(estimates: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean squared error of real and imaginary parts, ``spec_mse`` of the LaSAFT networks."""
    return torch.mean((estimates - targets).square().mean(dim=(2, 3, 4)) * weights)


def energy_ratio(estimates: Tensor, targets: Tensor, mixture: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over windows and sources of ``|error|^2 / |mixture|^2``, of spectra.

    The ratio is linear, because most windows contain silent stems, whose logarithmic ratio would dominate the loss.
    """
    error = (estimates - targets).square().mean(dim=(2, 3, 4))
    power = mixture.square().mean(dim=(1, 2, 3)) + SILENT_POWER
    return torch.mean(error / power[:, None] * weights)


def log_energy_ratio(estimates: Tensor, targets: Tensor, mixture: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over windows and sources of ``ln((|error|^2 + f) / (|target|^2 + f))``, of spectra.

    ``f`` is :data:`LOG_RATIO_SHARE` of the mixture's power. The loss follows the SDR for errors above that share; for
    silent sources, errors below it hardly count.
    """
    error = (estimates - targets).square().mean(dim=(2, 3, 4))
    power = targets.square().mean(dim=(2, 3, 4))
    floor = LOG_RATIO_SHARE * (mixture.square().mean(dim=(1, 2, 3)) + SILENT_POWER)[:, None]
    return torch.mean(torch.log((error + floor) / (power + floor)) * weights)


def negative_sdr(estimates: Tensor, targets: Tensor) -> Tensor:
    """Mean over the batch of the negative SDR in dB, over all sources, channels and samples of an example.

    Source: the AIMLESS entries of the Sound Demixing Challenge 2023.
    """
    signal = targets.square().sum(dim=(1, 2, 3))
    error = (estimates - targets).square().sum(dim=(1, 2, 3))
    return -10.0 * torch.mean(torch.log10(signal + SDR_EPSILON) - torch.log10(error + SDR_EPSILON))


def masking(outcome: LossValues, weights: Tensor) -> Tensor:
    """Squared error of complex bins, plus 10 · (1 + the weighted SDR loss of the waveforms).

    Source: the multi-domain loss of X-UMX as the AIMLESS entries use it. The weighted SDR loss is
    ``−α·cos(target, estimate) − (1 − α)·cos(rest, estimated rest)`` with ``α`` the target's share of the energy, per
    window and channel.
    """
    waves, mixture = outcome.waves(), outcome.mixture_waves[:, None]
    return _multi_domain(outcome.spectra - outcome.target_spectra, waves, outcome.target_waves, mixture, weights)


def combination(outcome: LossValues) -> Tensor:
    """Mean of :func:`masking` over all sums of one or more, but not all, sources.

    Source: the combination loss of X-UMX; 14 sums for four sources.
    """
    waves, mixture = outcome.waves(), outcome.mixture_waves[:, None]
    difference = outcome.spectra - outcome.target_spectra
    one = waves.new_ones(1)

    def summed(values: Tensor, rows: list[int]) -> Tensor:
        return values[:, rows].sum(dim=1, keepdim=True)

    losses = [
        _multi_domain(summed(difference, rows), summed(waves, rows), summed(outcome.target_waves, rows), mixture, one)
        for rows in _proper_subsets(waves.shape[1])
    ]
    return torch.stack(losses).mean()


def _proper_subsets(n: int) -> list[list[int]]:
    return [list(rows) for size in range(1, n) for rows in combinations(range(n), size)]


def _multi_domain(difference: Tensor, estimates: Tensor, targets: Tensor, mixture: Tensor, weights: Tensor) -> Tensor:
    """Return the masking loss; the mixture is ``[N, 1, channels, samples]``."""
    # The factor 2 makes it a mean over complex bins.
    bins = 2.0 * torch.mean(difference.square().mean(dim=(2, 3, 4)) * weights)
    rest, estimated_rest = mixture - targets, mixture - estimates
    target_energy, rest_energy = targets.square().sum(-1), rest.square().sum(-1)
    share = target_energy / (target_energy + rest_energy + SHARE_EPSILON)
    similarity = share * _cosine(targets, estimates) + (1.0 - share) * _cosine(rest, estimated_rest)
    return bins + SHARE_SCALE * torch.mean((1.0 - similarity.mean(dim=2)) * weights)


def _cosine(first: Tensor, second: Tensor) -> Tensor:
    norms = torch.linalg.vector_norm(first, dim=-1) * torch.linalg.vector_norm(second, dim=-1)
    cosine: Tensor = (first * second).sum(-1) / (norms + SHARE_EPSILON)
    return cosine
