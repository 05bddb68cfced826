"""An experiment: all settings of a training run, and what follows from them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from my_submission.documents import Variant
from my_submission.geometry import SAMPLE_RATE, SpectralChunking
from my_submission.stems import source_set
from training.data.batches import BatchSplit
from training.optimisation.losses import COMBINATIONS, WHOLE_SUMS, LossName, LossOptions
from training.optimisation.optimisers import LearningRateSchedule, Optimiser
from training.tables.augment import AugmentSettings
from training.tables.data import DataSettings
from training.tables.export import ExportSettings
from training.tables.run import RunSettings, WandbSettings
from training.tables.transform import Transform
from training.tables.validation import ValidationSettings


class NetworkSettings(Variant):
    """Shape of a network; its kinds are the subclasses of :class:`training.modules.base.ModuleSettings`."""

    is_graph: ClassVar[bool] = True
    """Whether it is exported as an ONNX graph; otherwise as a state dict under the published key names."""

    has_transform: ClassVar[bool] = True
    """Whether the exported network takes spectra of the experiment's transform; otherwise it takes waveforms."""

    def check(self, experiment: Experiment) -> None:
        """Raise ValueError if the network does not fit the rest of the experiment."""
        raise NotImplementedError

    def graphs(self, experiment: Experiment) -> Mapping[str, str | None]:
        """Return the names of the exported graphs, each with the source it estimates, or None for several."""
        return {target: target for target in experiment.targets}

    def branch(self, experiment: Experiment) -> str | None:
        """Return the kind of branch of a ``systems.toml`` that separates with it alone; None if there is none."""
        return "networks"

    def epoch_windows(self, experiment: Experiment, lengths: Sequence[int]) -> int:
        """Return the windows of an epoch of songs of these lengths in samples: as many as cover them end to end."""
        return sum(lengths) // experiment.window_samples


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Settings of one training run.

    Attributes:
        family: prefix of the artefacts' names: a run of family ``starter`` that predicts vocals writes
            ``starter/vocals``.
        targets: predicted sources, in order.
        network: shape of the network; its kind selects the module that trains it.
        transform: STFT around the network.
        target_weights: weight per target in the loss; empty weighs them equally.
        loss: name of the loss.
        loss_options: options of single losses.
        mixture_sources: sources whose sum is a mixture; empty takes the source set of the targets.
        optimiser: optimiser and learning rate.
        schedule: learning-rate schedule.
        seed: seed of the windows and of the initial weights.
    """

    family: str
    targets: tuple[str, ...]
    network: NetworkSettings
    transform: Transform
    optimiser: Optimiser
    schedule: LearningRateSchedule
    loss: LossName = "mse"
    loss_options: LossOptions = field(default_factory=LossOptions)
    mixture_sources: tuple[str, ...] = ()
    target_weights: tuple[float, ...] = ()
    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    run: RunSettings = field(default_factory=RunSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    wandb: WandbSettings = field(default_factory=WandbSettings)
    seed: int = 2021

    def __post_init__(self) -> None:
        if len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets={list(self.targets)} must be different names")
        if foreign := self.augment.sources_named - set(self.sources):
            raise ValueError(f"augment names {', '.join(sorted(foreign))}; sources are {', '.join(self.sources)}")
        if foreign_targets := [target for target in self.targets if target not in self.sources]:
            raise ValueError(f"mixture_sources={list(self.sources)} leaves out {', '.join(foreign_targets)}")
        self._check_loss("loss", self.loss)
        if self.validation.monitor != "sdr":
            self._check_loss("validation.monitor", self.validation.monitor)
        if self.target_weights and len(self.target_weights) != len(self.targets):
            raise ValueError(f"{len(self.target_weights)} target_weights for {len(self.targets)} targets")
        _ = self.batch_split  # raises ValueError if the batch cannot be split
        self.network.check(self)

    def _check_loss(self, name: str, loss: LossName) -> None:
        if loss in COMBINATIONS and len(self.targets) < 2:
            raise ValueError(f"{name}={loss} needs several targets")
        if loss in WHOLE_SUMS and (left_out := set(self.sources) - set(self.targets)):
            raise ValueError(f"{name}={loss} needs all sources as targets; {', '.join(sorted(left_out))} are left out")
        self.loss_options.check(loss)

    def for_trial(self) -> Experiment:
        """Return the experiment of ``run.dev``: one epoch of two steps, ten seconds of one validation song."""
        run = replace(self.run, dev=True, epochs=1, min_epochs=None, epoch_steps=2, log_every_steps=1)
        validation = replace(self.validation, every_epochs=1, max_songs=1, max_seconds=10.0)
        return replace(self, run=run, validation=validation)

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of the mixtures, in the order of an example's rows, by default the source set of the targets."""
        known = source_set((*self.targets, *self.mixture_sources))
        return tuple(source for source in known if not self.mixture_sources or source in self.mixture_sources)

    @property
    def target_rows(self) -> list[int]:
        """Rows of an example that contain the targets, in their order."""
        return [self.sources.index(target) for target in self.targets]

    @property
    def batch_split(self) -> BatchSplit:
        """Division of a step's windows among processes and micro-batches."""
        return BatchSplit(batch=self.data.batch, micro_batch=self.data.micro_batch, world_size=self.run.world_size)

    @property
    def accumulation(self) -> int:
        """Micro-batches per process and optimisation step."""
        return self.batch_split.n_parts

    @property
    def chunking(self) -> SpectralChunking:
        """Chunks for the separation of whole songs, and the default training window."""
        return self.transform.chunking()

    @property
    def window_samples(self) -> int:
        """Length of a training window in samples."""
        seconds = self.data.window_seconds
        return self.chunking.chunk_samples if seconds is None else round(seconds * SAMPLE_RATE)

    @property
    def export_chunking(self) -> SpectralChunking:
        """Chunks of the exported graphs."""
        return self.transform.chunking(self.export.frames)

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each target in the loss."""
        return self.target_weights or (1.0,) * len(self.targets)
