"""What networks have in common that are exported as state dicts: their settings, mono and stereo, the export."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from my_submission.networks.lightning_checkpoints import rows_of
from my_submission.networks.state_dict import map_state_dict
from my_submission.networks.strict_loading import load_strictly
from training.export_state import STATE_SUFFIX, export_state
from training.graphs import Exported
from training.modules.base import SeparationModule
from training.settings.experiment import Experiment, NetworkSettings


@dataclass(frozen=True, kw_only=True)
class StateSettings(NetworkSettings):
    """Settings of a network that is exported as a state dict.

    Attributes:
        artefact: name below the experiment's family.
        audio_channels: 2, or 1 for a network that hears the mean of both channels in training and each of them alone
            when it separates.
        start: a state dict of a network of this shape that a fresh run begins with, relative to where the program is
            started; random weights when absent.
    """

    is_graph: ClassVar[bool] = False

    artefact: str = "network"
    audio_channels: int = 2
    start: str | None = None

    def __post_init__(self) -> None:
        if self.audio_channels not in {1, 2}:
            raise ValueError(f"audio_channels={self.audio_channels} must be 1 or 2")

    @abstractmethod
    def network(self, experiment: Experiment) -> nn.Module:
        """The network with weights as torch's generator gives them."""

    @abstractmethod
    def trainer(self) -> type[StateModule]:
        """The module that trains it."""

    def check(self, experiment: Experiment) -> None:
        """Raises ValueError where the rows of the output would not be read as they are trained."""
        expected = rows_of(experiment.targets)
        if experiment.targets != expected:
            raise ValueError(f"targets={list(experiment.targets)} must be in the order {', '.join(expected)}")

    def graphs(self, experiment: Experiment) -> Mapping[str, str | None]:
        """One state for all targets."""
        return {self.artefact: experiment.targets[0] if len(experiment.targets) == 1 else None}

    def module(self, experiment: Experiment, *, total_steps: int) -> SeparationModule:
        """With weights drawn from the seed; torch's global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(experiment.seed)
            network = self.network(experiment)
        return self.trainer()(experiment, network, self.audio_channels, total_steps=total_steps)

    def begin(self, module: SeparationModule, experiment: Experiment, examples: Dataset[Tensor]) -> None:
        """Takes the weights of ``start``."""
        for network in (module.network, module.averaged):
            if self.start is not None and network is not None:
                load_strictly(network, map_state_dict(Path(self.start)), where=self.start)


class StateModule(SeparationModule):
    """Trains a network on waveforms of its number of channels.

    Args:
        experiment: the run.
        network: with its initial weights.
        audio_channels: that it hears.
        total_steps: of the whole run.
    """

    def __init__(self, experiment: Experiment, network: nn.Module, audio_channels: int, *, total_steps: int) -> None:
        super().__init__(experiment, network, total_steps=total_steps)
        self.audio_channels = audio_channels

    @abstractmethod
    def separated(self, network: nn.Module, mixtures: Tensor) -> Tensor:
        """Waveforms ``[N, channels, samples]`` to ``[N, targets, channels, samples]``."""

    @abstractmethod
    def example(self) -> tuple[int, ...]:
        """Shape of a short input of the network."""

    def blocks(self) -> Iterable[nn.Module]:
        """None; a network that has some says so."""
        return ()

    def heard(self, stems: Tensor) -> tuple[Tensor, Tensor]:
        """Mixtures ``[N, channels, samples]`` and targets ``[N, targets, channels, samples]`` of a batch."""
        if self.audio_channels == 1:
            stems = stems.mean(dim=2, keepdim=True)
        rows = [self.experiment.sources.index(target) for target in self.experiment.targets]
        return stems.sum(dim=1), stems[:, rows]

    def estimate(self, mixtures: Tensor) -> Tensor:
        """Stereo estimates; a mono network separates one channel after the other."""
        n, channels, samples = mixtures.shape
        fed = mixtures.reshape(-1, self.audio_channels, samples)
        waves = self.separated(self.evaluated, fed).view(n, channels // self.audio_channels, -1, *fed.shape[1:])
        return waves.transpose(1, 2).reshape(n, -1, channels, samples)

    def export_graphs(self, folder: Path) -> list[Exported]:
        """One ``<artefact>.pt``."""
        kind = self.experiment.network.kind
        return [
            export_state(self.evaluated, folder / f"{name}{STATE_SUFFIX}", architecture=kind, example=self.example())
            for name in self.experiment.network.graphs(self.experiment)
        ]
