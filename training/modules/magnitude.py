"""BandSplitRNN and X-UMX, which map magnitudes to masks, trained as in the AIMLESS recipes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from my_submission.networks.band_split_rnn import SPLIT_HZ, BandSplitConfig, BandSplitRNN, band_edges
from my_submission.networks.spectra import from_channels, to_channels
from my_submission.networks.x_umx import N_SOURCES, XUmx, XUmxConfig
from training.experiment import Experiment
from training.modules.states import StateModule, StateSettings
from training.optimisation import wiener
from training.optimisation.losses import LossValues, loss_of

EXAMPLE_FRAMES = 16


@dataclass(frozen=True, kw_only=True)
class _MagnitudeSettings(StateSettings):
    """Settings of a network that maps magnitudes to masks.

    Attributes:
        wiener_iterations: iterations of the Wiener filter between masks and loss; 0 applies the masks alone.
        soft_power: exponent of the magnitudes whose ratios are the filter's first masks, ``alpha`` of the published
            filter with ``softmask``; None takes the network's masks themselves.
    """

    wiener_iterations: int = 0
    soft_power: float | None = None

    def check(self, experiment: Experiment) -> None:
        """Raise ValueError if the transform or the targets do not fit."""
        super().check(experiment)
        transform = experiment.transform
        if transform.kept_bins != transform.stft.n_bins:
            raise ValueError(f"transform.kept_bins={transform.kept_bins} must be all {transform.stft.n_bins} bins")
        if self.wiener_iterations < 0:
            raise ValueError(f"network.wiener_iterations={self.wiener_iterations} must not be negative")
        if self.soft_power is not None and self.soft_power <= 0.0:
            raise ValueError(f"network.soft_power={self.soft_power} must be positive")

    def trainer(self) -> type[StateModule]:
        """Return :class:`MagnitudeModule`."""
        return MagnitudeModule


@dataclass(frozen=True, kw_only=True)
class BandSplitSettings(_MagnitudeSettings, kind="band-split-rnn"):
    """Shape of a BandSplitRNN, as in :class:`BandSplitConfig`; the defaults are the published ones.

    Several targets are trained together, as BandSplitRNNMulti of the AIMLESS program: their masks add up to 1, so the
    targets are all sources of the mixture.

    Attributes:
        split_hz: edges between bands, in Hz.
    """

    split_hz: tuple[int, ...] = SPLIT_HZ
    hidden_size: int = 128
    num_layers: int = 12

    def check(self, experiment: Experiment) -> None:
        """Raise ValueError for several targets that are not the whole mixture, or bands that do not fit."""
        super().check(experiment)
        if len(experiment.targets) > 1 and (left_out := set(experiment.sources) - set(experiment.targets)):
            raise ValueError(
                f"targets={list(experiment.targets)} leave out {', '.join(sorted(left_out))}: masks of several targets "
                "add up to 1, so name one target, or all sources of the mixture"
            )
        self._config(experiment)

    def network(self, experiment: Experiment) -> BandSplitRNN:
        """Return the network."""
        return BandSplitRNN(self._config(experiment))

    def _config(self, experiment: Experiment) -> BandSplitConfig:
        edges = band_edges(experiment.transform.n_fft, self.split_hz)
        widths = tuple(above - below for below, above in pairwise(edges))
        return BandSplitConfig(
            widths=widths,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            n_sources=len(experiment.targets),
        )


@dataclass(frozen=True, kw_only=True)
class XUmxSettings(_MagnitudeSettings, kind="x-umx"):
    """Shape of an X-UMX, as in :class:`XUmxConfig`; 0 stands for all bins in ``max_bins``."""

    hidden_channels: int = 512
    max_bins: int = 1487
    nb_layers: int = 3
    dropout: float = 0.4

    def check(self, experiment: Experiment) -> None:
        """Raise ValueError unless there are four targets and the bins fit."""
        super().check(experiment)
        if len(experiment.targets) != N_SOURCES:
            raise ValueError(f"an X-UMX has {N_SOURCES} targets, not {len(experiment.targets)}")
        self._config(experiment)

    def network(self, experiment: Experiment) -> XUmx:
        """Return the network."""
        return XUmx(self._config(experiment))

    def _config(self, experiment: Experiment) -> XUmxConfig:
        return XUmxConfig(
            n_fft=experiment.transform.n_fft,
            hidden_channels=self.hidden_channels,
            max_bins=self.max_bins or experiment.transform.stft.n_bins,
            nb_channels=self.audio_channels,
            nb_layers=self.nb_layers,
            dropout=self.dropout,
        )


class MagnitudeModule(StateModule):
    """Training of a network that maps magnitudes to masks, with an optional Wiener filter after the masks."""

    def batch_loss(self, stems: Tensor) -> Tensor:
        """Return the experiment's loss; transforms and loss are always computed in float32.

        As published, waveforms are compared over the inverse transform's own length, ``hop · (frames − 1)``.
        """
        mixtures, targets = self.mixtures_and_targets(stems)
        stft = self.experiment.transform.stft
        spectra, mixture_spectra, masks = self._spectra(self.network, mixtures)
        with torch.autocast(self.device.type, enabled=False):
            target_spectra = to_channels(targets.flatten(0, 1), stft).reshape(spectra.shape)
            stop = stft.hop * (spectra.shape[-1] - 1)
            targets, mixtures = targets[..., :stop], mixtures[..., :stop]
            outcome = LossValues(spectra, targets, target_spectra, mixtures, mixture_spectra, stft, masks)
            weights = torch.tensor(self.experiment.weights, device=self.device)
            return loss_of(self.experiment.loss, outcome, weights, self.experiment.loss_options)

    def separated(self, network: nn.Module, mixtures: Tensor) -> Tensor:
        """Separate by transform, network, masks and inverse transform."""
        n, channels, samples = mixtures.shape
        spectra, *_ = self._spectra(network, mixtures)
        with torch.autocast(self.device.type, enabled=False):
            waves = from_channels(spectra.flatten(0, 1), self.experiment.transform.stft, samples=samples)
        return waves.reshape(n, -1, channels, samples)

    def example(self) -> tuple[int, ...]:
        """Return the shape of a few frames of magnitudes."""
        return 1, self.audio_channels, self.experiment.transform.stft.n_bins, EXAMPLE_FRAMES

    def _spectra(self, network: nn.Module, mixtures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return spectra of targets and mixtures, and masks.

        Shapes are ``[N, targets, 2 · channels, bins, frames]``, without axis 1 for mixtures, with single channels for
        masks.
        """
        settings = cast("_MagnitudeSettings", self.experiment.network)
        with torch.autocast(self.device.type, enabled=False):
            mixture_spectra = to_channels(mixtures, self.experiment.transform.stft)
            n, doubled, bins, frames = mixture_spectra.shape
            parts = mixture_spectra.view(n, doubled // 2, 2, bins, frames).permute(0, 1, 3, 4, 2).contiguous()
            mixture = torch.view_as_complex(parts)
        masks = network(mixture.abs())
        with torch.autocast(self.device.type, enabled=False):
            masks = masks.float().view(n, -1, doubled // 2, bins, frames)
            filtered = wiener.filtered(
                masks, mixture, iterations=settings.wiener_iterations, soft_power=settings.soft_power
            )
            estimates = torch.view_as_real(filtered)
            spectra = estimates.permute(0, 1, 2, 5, 3, 4).reshape(n, -1, doubled, bins, frames)
        return spectra, mixture_spectra, masks
