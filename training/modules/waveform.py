"""Networks from waveforms to waveforms: Hybrid Demucs and DemucsSplit, as the AIMLESS recipes train them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from my_submission.networks.demucs_split import DemucsSplit, DemucsSplitConfig, WholeLength
from my_submission.networks.hybrid_demucs import HybridDemucs
from my_submission.networks.hybrid_demucs.layers import ResidualBranches
from training.experiment import Experiment
from training.modules.initial_weights import rescale_convolutions
from training.modules.states import StateModule, StateSettings
from training.optimisation.losses import WAVEFORM_LOSSES, waveform_loss

EXAMPLE_SAMPLES = 4_410
"""A tenth of a second."""


@dataclass(frozen=True, kw_only=True)
class _WaveformSettings(StateSettings):
    """Settings of a waveform network; the experiment's transform only sets the chunks of validation."""

    has_transform: ClassVar[bool] = False

    def branch(self, experiment: Experiment) -> str | None:
        """Return ``waveform`` for stereo networks."""
        return "waveform" if self.audio_channels == 2 else None

    def check(self, experiment: Experiment) -> None:
        """Raise ValueError if the loss needs spectra or the targets are in the wrong order."""
        super().check(experiment)
        if experiment.loss not in WAVEFORM_LOSSES:
            raise ValueError(f"loss={experiment.loss} needs spectra; waveforms have {', '.join(WAVEFORM_LOSSES)}")


@dataclass(frozen=True, kw_only=True)
class HybridDemucsSettings(_WaveformSettings, kind="hybrid-demucs"):
    """Shape of a Hybrid Demucs; its sources are the experiment's targets.

    Attributes:
        channels: channels of the outermost level.
    """

    channels: int = 64

    def network(self, experiment: Experiment) -> HybridDemucs:
        """Return the network."""
        return HybridDemucs(len(experiment.targets), self.audio_channels, self.channels)

    def trainer(self) -> type[StateModule]:
        """Return :class:`HybridDemucsModule`."""
        return HybridDemucsModule


@dataclass(frozen=True, kw_only=True)
class DemucsSplitSettings(_WaveformSettings, kind="demucs-split"):
    """Shape of a DemucsSplit, as in :class:`DemucsSplitConfig`; its sources are the experiment's targets."""

    channels: int = 48
    depth: int = 6
    lstm_layers: int = 2

    def network(self, experiment: Experiment) -> DemucsSplit:
        """Return the network."""
        config = DemucsSplitConfig(
            channels=self.channels,
            depth=self.depth,
            audio_channels=self.audio_channels,
            sources=experiment.targets,
            lstm_layers=self.lstm_layers,
        )
        network = DemucsSplit(config)
        rescale_convolutions(network)
        return network

    def trainer(self) -> type[StateModule]:
        """Return :class:`DemucsSplitModule`."""
        return DemucsSplitModule


class _WaveformModule(StateModule):
    """Training of a waveform network."""

    def batch_loss(self, stems: Tensor) -> Tensor:
        """Return the experiment's loss, always computed in float32."""
        mixtures, targets = self.mixtures_and_targets(stems)
        estimates = self.separated(self.network, mixtures)
        with torch.autocast(self.device.type, enabled=False):
            weights = torch.tensor(self.experiment.weights, device=self.device)
            stop = self.estimated_samples(mixtures.shape[-1])
            made, wanted = estimates[..., :stop].float(), targets[..., :stop]
            stft = self.experiment.transform
            return waveform_loss(self.experiment.loss, made, wanted, weights, length=stft.n_fft, hop=stft.hop)

    def estimated_samples(self, samples: int) -> int:
        """Return how many of the first ``samples`` samples of an input are estimated."""
        return samples


class HybridDemucsModule(_WaveformModule):
    """Training of a Hybrid Demucs, which takes any number of samples."""

    def blocks(self) -> Iterable[nn.Module]:
        """Return the residual branches, which hold most of the activations."""
        return [module for module in self.network.modules() if isinstance(module, ResidualBranches)]

    def separated(self, network: nn.Module, mixtures: Tensor) -> Tensor:
        """Separate in one pass."""
        estimates: Tensor = network(mixtures)
        return estimates

    def example(self) -> tuple[int, ...]:
        """Return the shape of a tenth of a second."""
        return 1, self.audio_channels, EXAMPLE_SAMPLES


class DemucsSplitModule(_WaveformModule):
    """Training of a DemucsSplit, whose output is shorter than its input: the loss ends where the output ends."""

    def blocks(self) -> Iterable[nn.Module]:
        """Return the levels of the encoder."""
        return list(cast("DemucsSplit", self.network).encoder)

    def separated(self, network: nn.Module, mixtures: Tensor) -> Tensor:
        """Separate in one pass; zeros follow the samples that are estimated."""
        estimates: Tensor = WholeLength(cast("DemucsSplit", network))(mixtures)
        return estimates

    def estimated_samples(self, samples: int) -> int:
        """Return the length of the network's output."""
        return cast("DemucsSplit", self.network).config.output_length(samples)

    def example(self) -> tuple[int, ...]:
        """Return the shape of the input for a tenth of a second."""
        config = cast("DemucsSplit", self.network).config
        return 1, self.audio_channels, config.valid_length(EXAMPLE_SAMPLES)
