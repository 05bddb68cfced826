"""Training losses.

Losses take waveforms or spectra ``[N, targets, ...]`` and the weights of the targets, and return a scalar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import torch
from torch import Tensor

from my_submission.geometry import StftGeometry
from my_submission.networks.spectra import from_channels
from training.optimisation.frame_losses import FRAME_LOSSES, FrameLossName, frame_loss

WaveformLossName = Literal["mse", "l1", "negative-sdr", "combination-l1", FrameLossName]
SpectrumLossName = Literal[
    "spectrum-mse", "spectrum-l1", "spectrum-mse-and-sum", "spectrum-l1-and-sum", "waveform-and-spectrum"
]
LossName = Literal[WaveformLossName, SpectrumLossName, "energy-ratio", "log-energy-ratio", "masking", "combination"]
WAVEFORM_LOSSES: tuple[str, ...] = get_args(WaveformLossName)
LOSSES: tuple[str, ...] = get_args(LossName)
COMBINATIONS = frozenset({"combination", "combination-l1"})
"""Losses over sums of sources, which need several targets."""

WHOLE_SUMS = frozenset({"spectrum-mse-and-sum", "spectrum-l1-and-sum"})
"""Losses that compare the sum of all estimates with the mixture, so the targets are all of its sources."""

Criterion = Literal["l1", "mse"]

SILENT_POWER = 1e-4
"""Power added to the mixture's mean squared spectrum, so that near-silent windows do not dominate a batch."""

LOG_RATIO_SHARE = 0.05
"""Regularisation of the logarithmic energy ratio, as a share of the mixture's power."""

SDR_EPSILON = 1e-7
SHARE_EPSILON = 1e-10


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """Options of single losses; None if a loss needs a value.

    Attributes:
        raw_scale: weight of the waveforms in ``waveform-and-spectrum``.
        raw_mode: criterion of the waveforms in it.
        spec_scale: weight of the spectra in it.
        spec_mode: criterion of the spectra in it.
        sdr_weight: weight of the waveforms in ``masking`` and ``combination``, ``mcoeff`` of the AIMLESS programs.
        complex_mse: whether ``combination`` compares filtered complex spectra, as published for X-UMX; otherwise sums
            of masked magnitudes with sums of the targets' magnitudes.
    """

    raw_scale: float | None = None
    raw_mode: Criterion | None = None
    spec_scale: float | None = None
    spec_mode: Criterion | None = None
    sdr_weight: float = 10.0
    complex_mse: bool = True

    def check(self, loss: str) -> None:
        """Raise ValueError if a value that the named loss needs is missing."""
        if loss != "waveform-and-spectrum":
            return
        missing = [name for name in ("raw_scale", "raw_mode", "spec_scale", "spec_mode") if getattr(self, name) is None]
        if missing:
            raise ValueError(f"loss={loss} needs {', '.join(f'loss_options.{name}' for name in missing)}")


DEFAULT_OPTIONS = LossOptions()


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
        masks: masks of the mixture's magnitudes ``[N, targets, channels, bins, frames]``, of networks that have them.
        are_magnitudes: whether the network estimates magnitudes, which get the mixture's phase; losses of spectra then
            compare magnitudes, as published.
    """

    spectra: Tensor
    target_waves: Tensor
    target_spectra: Tensor
    mixture_waves: Tensor
    mixture_spectra: Tensor
    stft: StftGeometry
    masks: Tensor | None = None
    are_magnitudes: bool = False

    def waves(self) -> Tensor:
        """Return the estimates as waveforms ``[N, targets, 2, samples]``; bins above the kept ones are zero."""
        n_samples = self.target_waves.shape[-1]
        waves = from_channels(self.spectra.flatten(0, 1), self.stft, samples=n_samples)
        return waves.reshape(self.target_waves.shape)

    def compared(self) -> tuple[Tensor, Tensor]:
        """Return estimates and targets in the form in which spectra are compared: complex or magnitudes."""
        if not self.are_magnitudes:
            return self.spectra, self.target_spectra
        return _projected(self.spectra, self.mixture_spectra), _magnitudes(self.target_spectra)


def loss_of(name: LossName, outcome: LossValues, weights: Tensor, options: LossOptions = DEFAULT_OPTIONS) -> Tensor:
    """Return the named loss of a batch; ``weights`` has one value per target."""
    if name in WAVEFORM_LOSSES:
        stft = outcome.stft
        return waveform_loss(name, outcome.waves(), outcome.target_waves, weights, length=stft.n_fft, hop=stft.hop)
    match name:
        case "spectrum-mse":
            loss = spectrum_mse(*outcome.compared(), weights)
        case "spectrum-l1":
            loss = spectrum_l1(*outcome.compared(), weights)
        case "spectrum-mse-and-sum":
            loss = and_sum(spectrum_mse, outcome, weights)
        case "spectrum-l1-and-sum":
            loss = and_sum(spectrum_l1, outcome, weights)
        case "waveform-and-spectrum":
            loss = waveform_and_spectrum(outcome, weights, options)
        case "energy-ratio":
            loss = energy_ratio(outcome.spectra, outcome.target_spectra, outcome.mixture_spectra, weights)
        case "log-energy-ratio":
            loss = log_energy_ratio(outcome.spectra, outcome.target_spectra, outcome.mixture_spectra, weights)
        case "combination":
            loss = combination(outcome, options)
        case _:
            loss = masking(outcome, weights, options)
    return loss


def waveform_loss(name: str, estimates: Tensor, targets: Tensor, weights: Tensor, *, length: int, hop: int) -> Tensor:
    """Return the named loss of waveforms ``[N, targets, channels, samples]``.

    Args:
        name: one of :data:`WAVEFORM_LOSSES`.
        estimates: the estimates.
        targets: their targets.
        weights: one value per target.
        length: length of a frame in samples, for losses over frames.
        hop: distance between frames in samples.

    Raises:
        ValueError: the loss needs spectra.
    """
    if name in FRAME_LOSSES:
        return frame_loss(name, estimates, targets, weights, length=length, hop=hop)
    if name == "mse":
        return waveform_mse(estimates, targets, weights)
    if name == "l1":
        return waveform_l1(estimates, targets, weights)
    if name == "negative-sdr":
        return negative_sdr(estimates, targets)
    if name == "combination-l1":
        return combination_l1(estimates, targets)
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


def spectrum_l1(estimates: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean absolute error of real and imaginary parts, ``spec_l1`` of the LaSAFT networks."""
    return torch.mean((estimates - targets).abs().mean(dim=(2, 3, 4)) * weights)


def and_sum(criterion: Callable[[Tensor, Tensor, Tensor], Tensor], outcome: LossValues, weights: Tensor) -> Tensor:
    """Criterion of every source's spectrum, plus that of their sum and the mixture's spectrum.

    Source: ``spec_mse_multi_source`` and ``spec_l1_multi_source`` of LASAFT-Net-v2.
    """
    estimates, targets = outcome.compared()
    mixture = _magnitudes(outcome.mixture_spectra) if outcome.are_magnitudes else outcome.mixture_spectra
    of_sum = criterion(estimates.sum(dim=1, keepdim=True), mixture[:, None], weights.new_ones(1))
    return criterion(estimates, targets, weights) + of_sum


def waveform_and_spectrum(outcome: LossValues, weights: Tensor, options: LossOptions) -> Tensor:
    """Weighted sum of a criterion of the waveforms and one of the spectra, ``raw_and_spec`` of the LaSAFT networks.

    Raises:
        ValueError: an option is missing.
    """
    options.check("waveform-and-spectrum")
    raw = waveform_l1 if options.raw_mode == "l1" else waveform_mse
    spectrum = spectrum_l1 if options.spec_mode == "l1" else spectrum_mse
    of_waves = raw(outcome.waves(), outcome.target_waves, weights)
    of_spectra = spectrum(*outcome.compared(), weights)
    return (options.raw_scale or 0.0) * of_waves + (options.spec_scale or 0.0) * of_spectra


def _magnitudes(spectra: Tensor) -> Tensor:
    """Return magnitudes ``[..., channels, bins, frames]``, with a finite gradient at zero."""
    real, imaginary = _parts(spectra)
    power = real.square() + imaginary.square()
    is_silent = power == 0
    return torch.where(is_silent, 0.0, torch.sqrt(torch.where(is_silent, 1.0, power)))


def _projected(spectra: Tensor, mixture: Tensor) -> Tensor:
    """Return signed magnitudes: the part of ``[N, targets, ...]`` in phase with the mixture ``[N, ...]``."""
    magnitude = _magnitudes(mixture)
    is_silent = magnitude == 0
    real, imaginary = _parts(mixture)
    length = torch.where(is_silent, 1.0, magnitude)
    cosine, sine = torch.where(is_silent, 1.0, real / length), imaginary / length
    estimated_real, estimated_imaginary = _parts(spectra)
    return estimated_real * cosine[:, None] + estimated_imaginary * sine[:, None]


def _parts(spectra: Tensor) -> tuple[Tensor, Tensor]:
    """Return the real and imaginary parts ``[..., channels, bins, frames]``."""
    return spectra[..., 0::2, :, :], spectra[..., 1::2, :, :]


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


def combination_l1(estimates: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute error of waveforms, averaged over all sums of one or more, but not all, sources.

    Source: ``CL1Loss`` of the AIMLESS program.
    """
    difference = estimates - targets
    losses = [difference[:, rows].sum(dim=1).abs().mean() for rows in _proper_subsets(difference.shape[1])]
    return torch.stack(losses).mean()


def masking(outcome: LossValues, weights: Tensor, options: LossOptions = DEFAULT_OPTIONS) -> Tensor:
    """Squared error of complex bins, plus ``sdr_weight`` · (1 + the weighted SDR loss of the waveforms).

    Source: the multi-domain loss of X-UMX as the AIMLESS entries use it. The weighted SDR loss is
    ``−α·cos(target, estimate) − (1 − α)·cos(rest, estimated rest)`` with ``α`` the target's share of the energy, per
    window and channel.
    """
    bins = _complex_error(outcome.spectra - outcome.target_spectra, weights)
    return bins + _weighted_sdr(outcome.waves(), outcome.target_waves, outcome.mixture_waves, weights, options)


def combination(outcome: LossValues, options: LossOptions = DEFAULT_OPTIONS) -> Tensor:
    """Mean of :func:`masking` over all sums of one or more, but not all, sources.

    Source: the combination loss of X-UMX; 14 sums for four sources.

    Raises:
        ValueError: ``complex_mse`` is false, and the network has no masks.
    """
    waves, mixture = outcome.waves(), outcome.mixture_waves
    one = waves.new_ones(1)

    def summed(values: Tensor, rows: list[int]) -> Tensor:
        return values[:, rows].sum(dim=1, keepdim=True)

    losses = [
        _bins_of_sum(outcome, rows, one, options)
        + _weighted_sdr(summed(waves, rows), summed(outcome.target_waves, rows), mixture, one, options)
        for rows in _proper_subsets(waves.shape[1])
    ]
    return torch.stack(losses).mean()


def _bins_of_sum(outcome: LossValues, rows: list[int], one: Tensor, options: LossOptions) -> Tensor:
    """Return the error of the bins of a sum of sources: of complex bins, or of masked magnitudes."""
    if options.complex_mse:
        difference = (outcome.spectra - outcome.target_spectra)[:, rows]
        return _complex_error(difference.sum(dim=1, keepdim=True), one)
    if outcome.masks is None:
        raise ValueError("loss_options.complex_mse=false needs a network with masks")
    estimated = outcome.masks[:, rows].sum(dim=1) * _magnitudes(outcome.mixture_spectra)
    wanted = _magnitudes(outcome.target_spectra)[:, rows].sum(dim=1)
    return torch.mean((estimated - wanted).square())


def _proper_subsets(n: int) -> list[list[int]]:
    return [list(rows) for size in range(1, n) for rows in combinations(range(n), size)]


def _complex_error(difference: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean over complex bins, which are half as many as their parts."""
    return 2.0 * torch.mean(difference.square().mean(dim=(2, 3, 4)) * weights)


def _weighted_sdr(estimates: Tensor, targets: Tensor, mixture: Tensor, weights: Tensor, options: LossOptions) -> Tensor:
    """Return the waveform term of the masking loss; the mixture is ``[N, channels, samples]``."""
    rest, estimated_rest = mixture[:, None] - targets, mixture[:, None] - estimates
    target_energy, rest_energy = targets.square().sum(-1), rest.square().sum(-1)
    share = target_energy / (target_energy + rest_energy + SHARE_EPSILON)
    similarity = share * _cosine(targets, estimates) + (1.0 - share) * _cosine(rest, estimated_rest)
    return options.sdr_weight * torch.mean((1.0 - similarity.mean(dim=2)) * weights)


def _cosine(first: Tensor, second: Tensor) -> Tensor:
    norms = torch.linalg.vector_norm(first, dim=-1) * torch.linalg.vector_norm(second, dim=-1)
    cosine: Tensor = (first * second).sum(-1) / (norms + SHARE_EPSILON)
    return cosine
