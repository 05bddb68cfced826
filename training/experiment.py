"""Settings of a training run, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from my_submission.documents import Variant
from my_submission.geometry import SAMPLE_RATE, SpectralChunking, StftGeometry
from my_submission.stems import SOURCE_SETS, source_set
from training.augment.effects import Effect
from training.augment.limiting import MixtureEffect
from training.data.batches import BatchSplit
from training.data.splits import expanded
from training.optimisation.losses import COMBINATIONS, LossName, LossOptions
from training.optimisation.optimisers import LearningRateSchedule, Optimiser

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


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
class Transform:
    """STFT of a spectral network and the length of its training windows.

    Attributes:
        n_fft: window and transform length, in samples.
        hop: distance between frames, in samples.
        kept_bins: number of lowest bins in the network's input.
        frames: number of frames of a training window.
    """

    n_fft: int
    hop: int = 1024
    kept_bins: int = 2048
    frames: int = 256

    def __post_init__(self) -> None:
        self.chunking()  # raises ValueError for invalid chunks

    @property
    def stft(self) -> StftGeometry:
        """Geometry of the transform."""
        return StftGeometry(self.n_fft, self.hop, self.kept_bins)

    def chunking(self, frames: int | None = None) -> SpectralChunking:
        """Return chunks of ``frames``, by default those of a training window."""
        return SpectralChunking(self.stft, self.frames if frames is None else frames)


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Training windows and where they come from.

    Attributes:
        batch: windows per optimisation step, over all devices and micro-batches.
        micro_batch: maximum number of windows per forward pass on one device; the windows of a step are divided evenly.
        workers: processes that read and augment; 0 uses the training process.
        held_out: names of songs to validate on instead of training; ``musdb18`` stands for its 14.
        collections: weight per data folder; empty gives all songs the same weight.
        draw: whether songs are drawn uniformly or in proportion to their length.
        window_seconds: length of a training window; None uses the transform's frames.
        windows_per_song: windows per epoch and training song, if ``run.epoch_steps`` is None.
        clean_list: path of a CSV table with the columns ID and Clean; only songs marked Y are trained on.
        pad_short_stems: whether windows of stems that are shorter than a window are filled with silence; otherwise such
            stems are refused.
    """

    batch: int = 8
    micro_batch: int = 8
    workers: int = 2
    held_out: tuple[str, ...] = ()
    collections: Mapping[str, float] = field(default_factory=dict)
    draw: Literal["song", "length"] = "song"
    window_seconds: float | None = None
    windows_per_song: int | None = None
    clean_list: str | None = None
    pad_short_stems: bool = False

    def __post_init__(self) -> None:
        if min(self.batch, self.micro_batch) < 1:
            raise ValueError(f"batch={self.batch} and micro_batch={self.micro_batch} must be at least 1")
        if self.workers < 0:
            raise ValueError(f"workers={self.workers} must not be negative")
        if any(weight <= 0 for weight in self.collections.values()):
            raise ValueError(f"weights of collections must be positive: {dict(self.collections)}")
        if self.window_seconds is not None and self.window_seconds <= 0:
            raise ValueError(f"window_seconds={self.window_seconds} must be positive")
        if self.windows_per_song is not None and self.windows_per_song < 1:
            raise ValueError(f"windows_per_song={self.windows_per_song} must be at least 1")

    @property
    def held_out_songs(self) -> frozenset[str]:
        """Names of held-out songs, with list names expanded."""
        return expanded(self.held_out)


_KNOWN_SOURCES = tuple(name for sources in SOURCE_SETS for name in sources)


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """Augmentation of training windows.

    Attributes:
        coherent: probability that all sources of an example come from the same time of one song.
        absent: probability per source that it is left out.
        doubled: probability per source that a second window of it is added.
        level_db: standard deviation of the random level around equal levels of all sources; None keeps the recorded
            levels.
        coherent_level_db: standard deviation around the song's own balance, for coherent examples; None treats them
            like other examples.
        level_offset_db: offset of the random level per source.
        effects: effects on every window in order, each with its own probability.
        probability_scale: factor on the probabilities of all effects; the product is limited to 1.
        mixture_effects: effects on the stems of every example together.
        final_effects: effects on every stem after those, which change the mixture's sum once more.
        one_collection: whether all sources of an example come from one collection.
    """

    coherent: float = 0.0
    absent: Mapping[str, float] = field(default_factory=dict)
    doubled: Mapping[str, float] = field(default_factory=dict)
    level_db: float | None = None
    coherent_level_db: float | None = None
    level_offset_db: Mapping[str, float] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    probability_scale: float = 1.0
    mixture_effects: tuple[MixtureEffect, ...] = ()
    final_effects: tuple[Effect, ...] = ()
    one_collection: bool = False

    def __post_init__(self) -> None:
        for name in ("absent", "doubled"):
            if any(not 0.0 <= chance < 1.0 for chance in getattr(self, name).values()):
                raise ValueError(f"{name} holds probabilities below 1")
        if unknown := self.sources_named - set(_KNOWN_SOURCES):
            raise ValueError(f"{', '.join(sorted(unknown))} are none of {', '.join(_KNOWN_SOURCES)}")
        if not 0.0 <= self.coherent <= 1.0:
            raise ValueError(f"coherent={self.coherent} is no probability")
        if self.probability_scale < 0.0:
            raise ValueError(f"probability_scale={self.probability_scale} must not be negative")
        for name in ("level_db", "coherent_level_db"):
            value = getattr(self, name)
            if value is not None and value < 0.0:
                raise ValueError(f"{name}={value} must not be negative")
        if self.level_offset_db and self.level_db is None:
            raise ValueError("level_offset_db needs level_db")

    @property
    def sources_named(self) -> frozenset[str]:
        """All sources named in a setting."""
        effects = (*self.effects, *self.final_effects)
        tables = (self.absent, self.doubled, self.level_offset_db, *(effect.sources for effect in effects))
        return frozenset(name for table in tables for name in table)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Length, precision and devices of a run.

    Attributes:
        epochs: maximum number of epochs.
        min_epochs: minimum number of epochs before early stopping.
        epoch_steps: optimisation steps per epoch; None derives them from ``data.windows_per_song`` or, as published
            for the KUIELab networks, from the total length of the training songs.
        precision: precision of Lightning; transforms and loss are always computed in float32.
        ema: decay of the average of the weights, which is validated and exported; 0 uses the weights themselves.
        clip: maximum gradient norm; None does not clip.
        checkpoint_activations: recompute activations in the backward pass instead of keeping them.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices: devices per node.
        nodes: number of machines.
        sync_batchnorm: compute batch norms over all devices together.
        deterministic: use deterministic algorithms; layers without one cause a warning.
        tf32: allow GPUs to round the factors of float32 matrix products to 10 bits of mantissa.
        threads: CPU threads per process; None is torch's default.
        loggers: any of ``csv``, ``tensorboard`` and ``wandb``.
        log_every_steps: optimisation steps per row of the log.
        keep_every_epochs: epochs between weights that are kept permanently in ``weights/``; None keeps none.
        may_change_data: whether a resumed run may use other collections and augmentations.
        save_weights_only: whether the best checkpoints hold weights alone; ``last.ckpt`` always holds what resuming
            needs.
        dev: try everything out: one epoch of two steps on few songs, and ten seconds of one validation song.
    """

    epochs: int = 3000
    min_epochs: int | None = None
    epoch_steps: int | None = None
    precision: Precision = "32-true"
    ema: float = 0.0
    clip: float | None = None
    checkpoint_activations: bool = False
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = 1
    nodes: int = 1
    sync_batchnorm: bool = False
    deterministic: bool = False
    tf32: bool = False
    threads: int | None = None
    loggers: tuple[Literal["csv", "tensorboard", "wandb"], ...] = ("csv", "tensorboard")
    log_every_steps: int = 10
    keep_every_epochs: int | None = None
    may_change_data: bool = False
    save_weights_only: bool = False
    dev: bool = False

    def __post_init__(self) -> None:
        counts = ("epochs", "min_epochs", "epoch_steps", "devices", "nodes", "threads", "log_every_steps")
        for name in (*counts, "keep_every_epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        if not 0.0 <= self.ema < 1.0:
            raise ValueError(f"ema={self.ema} must be at least 0 and below 1")
        if self.clip is not None and self.clip <= 0.0:
            raise ValueError(f"clip={self.clip} must be positive")

    @property
    def world_size(self) -> int:
        """Total number of processes."""
        return self.devices * self.nodes


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """Validation on whole songs.

    Attributes:
        every_epochs: epochs between validations.
        max_songs: maximum number of songs; None validates on all.
        max_seconds: maximum length per song; None uses whole songs.
        patience: epochs without improvement before the run ends, rounded up to a validation; None never ends it early.
        min_delta_db: minimum increase of the SDR that counts as improvement.
        min_delta_l1: minimum decrease of the mean absolute error that counts as improvement.
        monitor: value that ranks checkpoints: the SDR of whole songs, or a loss as a mean over chunks, such as ``l1``,
            ``raw_l1`` of the LaSAFT networks.
        keep_best: number of checkpoints kept besides the last one.
        on_training_songs: validate on the training songs too, as one AIMLESS run did, to detect divergence.
    """

    every_epochs: int = 1
    max_songs: int | None = None
    max_seconds: float | None = None
    patience: int | None = None
    min_delta_db: float = 0.0
    min_delta_l1: float = 0.0
    monitor: Literal["sdr", LossName] = "sdr"
    keep_best: int = 5
    on_training_songs: bool = False

    def __post_init__(self) -> None:
        for name in ("every_epochs", "max_songs", "patience", "keep_best"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        if self.max_seconds is not None and self.max_seconds <= 0:
            raise ValueError(f"max_seconds={self.max_seconds} must be positive")
        if min(self.min_delta_db, self.min_delta_l1) < 0.0:
            raise ValueError("min_delta_db and min_delta_l1 must not be negative")

    @property
    def patience_validations(self) -> int | None:
        """Validations without improvement before the run ends."""
        return None if self.patience is None else -(-self.patience // self.every_epochs)


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Export of graphs with every checkpoint.

    Attributes:
        frames: number of frames of the graph; None uses that of training.
        half_weights: store large weights as float16; arithmetic stays float32.
        licence: licence of the weights, for the manifest.
    """

    frames: int | None = None
    half_weights: bool = False
    licence: str = "unpublished"


@dataclass(frozen=True, kw_only=True)
class WandbSettings:
    """Where the logger ``wandb`` sends a run; see :class:`lightning.pytorch.loggers.WandbLogger`.

    Attributes:
        project: name of the project; None is wandb's default.
        id: id of the run, to go on with its curves; None begins new ones.
        entity: team or user; None is the user who is logged in.
        group: group of the run.
        job_type: type of the run.
        tags: labels of the run.
        offline: whether logs stay on this machine.
        watch: what of the network is logged; None logs nothing of it.
    """

    project: str | None = None
    id: str | None = None
    entity: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: tuple[str, ...] = ()
    offline: bool = False
    watch: Literal["gradients", "parameters", "all"] | None = None


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
        if self.loss in COMBINATIONS and len(self.targets) < 2:
            raise ValueError(f"loss={self.loss} needs several targets")
        self.loss_options.check(self.loss)
        if self.target_weights and len(self.target_weights) != len(self.targets):
            raise ValueError(f"{len(self.target_weights)} target_weights for {len(self.targets)} targets")
        _ = self.batch_split  # raises ValueError if the batch cannot be split
        self.network.check(self)

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
        """Rows of an example that hold the targets, in their order."""
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
