"""Base classes of networks that are exported as state dicts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from torch import Tensor, nn

from my_submission.networks.lightning_checkpoints import rows_of
from my_submission.networks.state_dict import load_state_dict
from my_submission.networks.strict_loading import load_strictly
from training.experiment import Experiment
from training.export.graphs import Exported
from training.export.state_dict import STATE_SUFFIX, export_state
from training.modules.base import ModuleSettings, SeparationModule


@dataclass(frozen=True, kw_only=True)
class StateSettings(ModuleSettings):
    """Settings of a network that is exported as a state dict.

    Attributes:
        artefact: name of the exported file, below the experiment's family.
        audio_channels: 2, or 1 for a mono network: it is trained on the mean of both channels and separates left and
            right one after the other.
        start: path of a state dict of the same network that a fresh run starts from, relative to the working
            directory; None starts from random weights.
    """

    is_graph: ClassVar[bool] = False

    artefact: str = "network"
    audio_channels: int = 2
    start: str | None = None

    def __post_init__(self) -> None:
        if self.audio_channels not in {1, 2}:
            raise ValueError(f"audio_channels={self.audio_channels} must be 1 or 2")

    def check(self, experiment: Experiment) -> None:
        """Raise ValueError if the targets are not in the order in which readers of the state dict expect them."""
        expected = rows_of(experiment.targets)
        if experiment.targets != expected:
            raise ValueError(f"targets={list(experiment.targets)} must be in the order {', '.join(expected)}")

    def graphs(self, experiment: Experiment) -> Mapping[str, str | None]:
        """Return one name for all targets."""
        return {self.artefact: experiment.targets[0] if len(experiment.targets) == 1 else None}

    def branch(self, experiment: Experiment) -> str | None:
        """Return None: the network's own mechanism is not among those of ``systems.toml``."""
        return None

    def load_start(self, network: nn.Module, experiment: Experiment) -> None:
        """Load the state dict ``start``."""
        if self.start is not None:
            load_strictly(network, load_state_dict(Path(self.start)), where=self.start)


class StateModule(SeparationModule):
    """Base class of modules whose network is exported as a state dict."""

    @property
    def audio_channels(self) -> int:
        """Number of channels of the network's input."""
        return cast("StateSettings", self.experiment.network).audio_channels

    @abstractmethod
    def separated(self, network: nn.Module, mixtures: Tensor) -> Tensor:
        """Separate waveforms ``[N, channels, samples]`` into ``[N, targets, channels, samples]``."""

    @abstractmethod
    def example(self) -> tuple[int, ...]:
        """Return the shape of a short network input, for the parity check of the export."""

    def blocks(self) -> Iterable[nn.Module]:
        """Return no blocks by default."""
        return ()

    def mixtures_and_targets(self, stems: Tensor) -> tuple[Tensor, Tensor]:
        """Return mixtures ``[N, channels, samples]`` and targets ``[N, targets, channels, samples]`` of a batch."""
        if self.audio_channels == 1:
            stems = stems.mean(dim=2, keepdim=True)
        return stems.sum(dim=1), stems[:, self.experiment.target_rows]

    def estimate(self, mixtures: Tensor) -> Tensor:
        """Separate stereo mixtures; a mono network separates left and right as two items."""
        n, channels, samples = mixtures.shape
        inputs = mixtures.reshape(-1, self.audio_channels, samples)
        waves = self.separated(self.evaluated, inputs).view(n, channels // self.audio_channels, -1, *inputs.shape[1:])
        return waves.transpose(1, 2).reshape(n, -1, channels, samples)

    def export_graphs(self, folder: Path) -> list[Exported]:
        """Write ``<artefact>.pt``."""
        kind = self.experiment.network.kind
        return [
            export_state(self.evaluated, folder / f"{name}{STATE_SUFFIX}", architecture=kind, example=self.example())
            for name in self.experiment.network.graphs(self.experiment)
        ]
