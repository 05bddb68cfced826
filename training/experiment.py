"""Everything one training run is made of, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from my_submission.documents import Variant
from my_submission.geometry import SAMPLE_RATE, SpectralChunking, StftGeometry
from my_submission.stems import SOURCE_SETS, source_set
from training.augment.effects import Effect
from training.augment.limiting import MixtureEffect
from training.data.splits import expanded
from training.optimisation.losses import LossName
from training.optimisation.optimisers import LearningRateSchedule, Optimiser

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


class NetworkSettings(Variant):
    """Shape of a network; its kinds are the subclasses of :class:`training.modules.base.ModuleSettings`."""

    is_graph: ClassVar[bool] = True
    """Whether it is exported as an ONNX graph; otherwise as a state dict under the published key names."""

    has_transform: ClassVar[bool] = True
    """Whether what is exported takes spectra of the experiment's transform; otherwise it takes waveforms."""

    def check(self, experiment: Experiment) -> None:
        """Raises ValueError where the network does not fit the rest of the experiment."""
        raise NotImplementedError

    def graphs(self, experiment: Experiment) -> Mapping[str, str | None]:
        """Name of each graph that a checkpoint is exported to, and the one source it estimates or None for several."""
        return {target: target for target in experiment.targets}


@dataclass(frozen=True, kw_only=True)
class Transform:
    """The transform around a spectral network and the length of its windows.

    Attributes:
        n_fft: window and transform length, in samples.
        hop: distance between frames, in samples.
        kept_bins: bins the network sees.
        frames: of one training window.
    """

    n_fft: int
    hop: int = 1024
    kept_bins: int = 2048
    frames: int = 256

    def __post_init__(self) -> None:
        self.chunking()  # refuses what no chunk can be

    @property
    def stft(self) -> StftGeometry:
        """The transform alone."""
        return StftGeometry(self.n_fft, self.hop, self.kept_bins)

    def chunking(self, frames: int | None = None) -> SpectralChunking:
        """Chunks of the training window's length, or of so many frames."""
        return SpectralChunking(self.stft, self.frames if frames is None else frames)


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Windows: how many, from where.

    Attributes:
        batch: windows of one optimisation step, over all devices and accumulated parts.
        micro_batch: windows that one device works on at once.
        workers: processes that read and augment; 0 does it in the training process.
        held_out: names of songs kept from training and validated on; ``musdb18`` stands for its 14.
        collections: weight of each data folder by its name; without any, every song counts the same.
        draw: whether a song is drawn as likely as any other, or in proportion to its length.
        window_seconds: length of a training window; that of the transform's frames when absent.
        windows_per_song: windows of an epoch for each training song, where ``run.epoch_steps`` is absent.
        clean_list: path of a CSV table with the columns ID and Clean; only songs marked Y are trained on.
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

    def __post_init__(self) -> None:
        if self.batch < 1 or self.micro_batch < 1 or self.batch % self.micro_batch:
            raise ValueError(f"batch={self.batch} must be a multiple of micro_batch={self.micro_batch}")
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
        """Names of held-out songs, with names of lists expanded."""
        return expanded(self.held_out)


_KNOWN_SOURCES = tuple(name for sources in SOURCE_SETS for name in sources)


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """How windows are put together and changed.

    Attributes:
        coherent: probability per example that all sources come from one song at one time.
        absent: probability per source name that the source is left out.
        doubled: probability per source name that a second window of the same source is added.
        level_db: standard deviation of the random level around equal levels of all sources; as recorded when absent.
        coherent_level_db: the same deviation where all sources come from one song, around the balance it was mixed at;
            as for other windows when absent.
        level_offset_db: per source name what is added to its random level.
        effects: applied to every window in turn, each with its own probability.
        probability_scale: multiplies the probabilities of all effects, up to certainty.
        mixture_effects: applied to every example in turn, once its stems are together.
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
            raise ValueError("level_offset_db changes random levels, and level_db is absent")

    @property
    def sources_named(self) -> frozenset[str]:
        """Every source that a setting speaks of."""
        tables = (self.absent, self.doubled, self.level_offset_db, *(effect.sources for effect in self.effects))
        return frozenset(name for table in tables for name in table)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The run: its length, arithmetic and machines.

    Attributes:
        epochs: at most.
        min_epochs: before which no lack of improvement ends the run.
        epoch_steps: optimisation steps between two checkpoints; when absent, ``data.windows_per_song`` says, or, as
            published for the KUIELab networks, the training songs' length over the window's and the batch.
        precision: of Lightning; half precision keeps the transforms and the loss in float32.
        ema: decay of the averaged weights, which are validated and exported; 0 uses the weights themselves.
        clip: largest gradient norm; none when absent.
        checkpoint_activations: recompute activations in the backward pass instead of keeping them.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices: per node.
        nodes: machines.
        sync_batchnorm: batch norms see the batches of all devices together.
        deterministic: prefer algorithms that give the same from run to run; a layer that has none is warned of.
        threads: processors a process may use on the CPU; torch's own choice when absent.
        loggers: of ``csv``, ``tensorboard`` and ``wandb``.
        log_every_steps: optimisation steps between two rows of the log.
        keep_every_epochs: epochs between two sets of weights that are kept for good, in ``weights/``; none when absent.
        may_change_data: whether a resumed run may have other collections and augmentations than it was begun with.
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
    threads: int | None = None
    loggers: tuple[Literal["csv", "tensorboard", "wandb"], ...] = ("csv", "tensorboard")
    log_every_steps: int = 10
    keep_every_epochs: int | None = None
    may_change_data: bool = False

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
        """Processes in all."""
        return self.devices * self.nodes


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """Validation on whole songs, and what follows from it.

    Attributes:
        every_epochs: epochs between two validations.
        max_songs: the first so many held-out songs; all when absent.
        max_seconds: of each song; all when absent.
        patience: validations without improvement after which the run ends; never when absent.
        min_delta_db: least change of the SDR that counts as improvement.
        monitor: what ranks checkpoints: the SDR, or the mean absolute error of the waveforms, ``raw_l1`` of the LaSAFT
            networks.
        keep_best: checkpoints kept beside the last one.
        on_training_songs: validate on the training songs too, as one AIMLESS run did: it says whether a run has broken
            down, not how well it separates.
    """

    every_epochs: int = 1
    max_songs: int | None = None
    max_seconds: float | None = None
    patience: int | None = None
    min_delta_db: float = 0.0
    monitor: Literal["sdr", "l1"] = "sdr"
    keep_best: int = 5
    on_training_songs: bool = False

    def __post_init__(self) -> None:
        for name in ("every_epochs", "max_songs", "patience", "keep_best"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        if self.max_seconds is not None and self.max_seconds <= 0:
            raise ValueError(f"max_seconds={self.max_seconds} must be positive")


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Graphs written beside every checkpoint.

    Attributes:
        frames: the graph's fixed frame count; that of training when absent.
        half_weights: store large weights as float16; the arithmetic stays float32.
        licence: of the weights, for the manifest.
    """

    frames: int | None = None
    half_weights: bool = False
    licence: str = "unpublished"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One training run.

    Attributes:
        family: prefix of the artefacts' names: a run of family ``starter`` that predicts vocals makes
            ``starter/vocals``.
        targets: sources predicted, in order.
        network: its shape; chooses the module that trains it.
        transform: around it.
        target_weights: of each target in the loss; equal when empty.
        loss: what is minimised.
        optimiser: and its rate.
        schedule: of the rate.
        seed: of windows and of the initial weights.
    """

    family: str
    targets: tuple[str, ...]
    network: NetworkSettings
    transform: Transform
    optimiser: Optimiser
    schedule: LearningRateSchedule
    loss: LossName = "mse"
    target_weights: tuple[float, ...] = ()
    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    run: RunSettings = field(default_factory=RunSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    seed: int = 2021

    def __post_init__(self) -> None:
        if len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets={list(self.targets)} must be different names")
        if foreign := self.augment.sources_named - set(self.sources):
            raise ValueError(f"augment speaks of {', '.join(sorted(foreign))}; sources are {', '.join(self.sources)}")
        if self.target_weights and len(self.target_weights) != len(self.targets):
            raise ValueError(f"{len(self.target_weights)} target_weights for {len(self.targets)} targets")
        if self.data.batch % (self.data.micro_batch * self.run.world_size):
            raise ValueError(
                f"data.batch={self.data.batch} cannot be split over {self.run.world_size} processes in parts of "
                f"data.micro_batch={self.data.micro_batch}"
            )
        self.network.check(self)

    @property
    def sources(self) -> tuple[str, ...]:
        """What mixtures are made of, in the order of an example's rows: the set that the targets belong to."""
        return source_set(self.targets)

    @property
    def accumulation(self) -> int:
        """Parts of a batch that one process works on one after the other."""
        return self.data.batch // (self.data.micro_batch * self.run.world_size)

    @property
    def chunking(self) -> SpectralChunking:
        """Chunks that whole songs are separated in, and the training window where no other length is set."""
        return self.transform.chunking()

    @property
    def window_samples(self) -> int:
        """Length of a training window."""
        seconds = self.data.window_seconds
        return self.chunking.chunk_samples if seconds is None else round(seconds * SAMPLE_RATE)

    @property
    def export_chunking(self) -> SpectralChunking:
        """The window that graphs are exported for."""
        return self.transform.chunking(self.export.frames)

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each target in the loss."""
        return self.target_weights or (1.0,) * len(self.targets)
