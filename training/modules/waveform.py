"""Networks from waveforms to waveforms: Hybrid Demucs and DemucsSplit, as the AIMLESS recipes train them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from my_submission.networks.demucs import centre_trim
from my_submission.networks.demucs_split import DemucsSplit, DemucsSplitConfig
from my_submission.networks.hybrid_demucs import HybridDemucs
from my_submission.networks.hybrid_demucs.layers import ResidualBranches
from training.losses import WAVEFORM_LOSSES, waveform_loss
from training.modules.states import StateModule, StateSettings
from training.settings.experiment import Experiment

EXAMPLE_SAMPLES = 4_410
"""A tenth of a second."""


@dataclass(frozen=True, kw_only=True)
class _WaveformSettings(StateSettings):
    """Settings of a network of waveforms; the experiment's transform only says how validation cuts songs."""

    has_transform: ClassVar[bool] = False

    def check(self, experiment: Experiment) -> None:
        """Raises ValueError where the loss needs spectra, or the targets stand in another order."""
        super().check(experiment)
        if experiment.loss not in WAVEFORM_LOSSES:
            raise ValueError(f"loss={experiment.loss} needs spectra; waveforms have {', '.join(WAVEFORM_LOSSES)}")


@dataclass(frozen=True, kw_only=True)
class HybridDemucsSettings(_WaveformSettings, kind="hybrid-demucs"):
    """Shape of a Hybrid Demucs; sources follow from the experiment's targets.

    Attributes:
        channels: of the outermost level.
    """

    channels: int = 64

    def network(self, experiment: Experiment) -> HybridDemucs:
        """The network."""
        return HybridDemucs(len(experiment.targets), self.audio_channels, self.channels)

    def trainer(self) -> type[StateModule]:
        """Waveforms as they are."""
        return HybridDemucsModule


@dataclass(frozen=True, kw_only=True)
class DemucsSplitSettings(_WaveformSettings, kind="demucs-split"):
    """Shape of a DemucsSplit, as :class:`DemucsSplitConfig`; sources follow from the experiment's targets."""

    channels: int = 48
    depth: int = 6
    lstm_layers: int = 2

    def network(self, experiment: Experiment) -> DemucsSplit:
        """The network, at twice the rate inside as the predictor takes it to be."""
        config = DemucsSplitConfig(
            channels=self.channels,
            depth=self.depth,
            audio_channels=self.audio_channels,
            sources=experiment.targets,
            lstm_layers=self.lstm_layers,
        )
        return DemucsSplit(config)

    def trainer(self) -> type[StateModule]:
        """Waveforms with zeros around them."""
        return DemucsSplitModule


class _WaveformModule(StateModule):
    """Trains a network of waveforms."""

    def batch_loss(self, stems: Tensor) -> Tensor:
        """The experiment's loss, in float32 whatever the network's precision."""
        mixtures, targets = self.heard(stems)
        estimates = self.separated(self.network, mixtures)
        with torch.autocast(self.device.type, enabled=False):
            weights = torch.tensor(self.experiment.weights, device=self.device)
            return waveform_loss(self.experiment.loss, estimates.float(), targets, weights)


class HybridDemucsModule(_WaveformModule):
    """Trains a Hybrid Demucs, which takes any number of samples."""

    def blocks(self) -> Iterable[nn.Module]:
        """The residual branches, which hold most of the activations."""
        return [module for module in self.network.modules() if isinstance(module, ResidualBranches)]

    def separated(self, network: nn.Module, mixtures: Tensor) -> Tensor:
        """One pass."""
        estimates: Tensor = network(mixtures)
        return estimates

    def example(self) -> tuple[int, ...]:
        """A tenth of a second."""
        return 1, self.audio_channels, EXAMPLE_SAMPLES


class DemucsSplitModule(_WaveformModule):
    """Trains a DemucsSplit, whose output is shorter than its input."""

    def blocks(self) -> Iterable[nn.Module]:
        """The levels of the encoder."""
        return list(cast("DemucsSplit", self.network).encoder)

    def separated(self, network: nn.Module, mixtures: Tensor) -> Tensor:
        """One pass over the mixtures with zeros around them, cut to their length."""
        samples = mixtures.shape[-1]
        missing = cast("DemucsSplit", network).config.valid_length(samples) - samples
        padded = functional.pad(mixtures, (missing // 2, missing - missing // 2))
        return centre_trim(network(padded), samples)

    def example(self) -> tuple[int, ...]:
        """What a tenth of a second needs."""
        config = cast("DemucsSplit", self.network).config
        return 1, self.audio_channels, config.valid_length(EXAMPLE_SAMPLES)
