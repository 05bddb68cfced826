"""Lightning data module of a run: training examples and whole validation songs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import torch
from torch import Tensor, from_numpy
from torch.utils.data import DataLoader, Dataset, Subset

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import MUSIC_SOURCES
from training.data.songs import SongCollection, TrainingSong, read_collection, read_collections, split
from training.examples.clean_list import only_clean
from training.examples.remix import RemixDataset
from training.examples.sampling import BatchPlan, PartSampler
from training.experiment import Experiment

DEV_SONGS = 2
"""Songs per collection with ``run.dev``."""


@dataclass(frozen=True)
class RunData:
    """Training and validation songs of a run."""

    training: Sequence[SongCollection]
    validation: Sequence[TrainingSong]

    @property
    def training_songs(self) -> list[TrainingSong]:
        """Training songs of all collections, with stretched copies."""
        return [song for collection in self.training for song in collection.songs]


def read_data(experiment: Experiment, data: Sequence[Path], validation: Sequence[Path] = ()) -> RunData:
    """Read the songs of an experiment.

    Args:
        experiment: names the held-out songs and weighs the collections.
        data: one folder per collection.
        validation: folders of validation songs, in addition to the held-out songs in ``data``.

    Raises:
        InputError: a folder contains no song, or there are no training songs or no held-out songs.
    """
    held_out = experiment.data.held_out_songs
    collections = read_collections(data, experiment.data.collections)
    if experiment.data.clean_list is not None:
        collections = only_clean(collections, Path(experiment.data.clean_list))
    training, songs = split(collections, held_out)
    songs += [song for folder in validation for song in read_collection(folder).songs]
    if not training:
        raise InputError("every song is held out, none is left to train on", hint="correct data.held_out")
    if held_out and not songs:
        raise InputError(
            "none of the held-out songs is in the data folders",
            hint="add the folder that contains them, name songs by --valid, or set data.held_out=[]",
        )
    if experiment.validation.on_training_songs:
        songs += [song for collection in training if not collection.is_augmented for song in collection.songs]
    if experiment.run.dev:
        training = [replace(collection, songs=collection.songs[:DEV_SONGS]) for collection in training]
    return RunData(training, songs[: experiment.validation.max_songs])


def epoch_steps(experiment: Experiment, data: RunData) -> int:
    """Return the optimisation steps per epoch: as set, or from the number or length of the training songs.

    As published, an epoch of ``data.windows_per_song`` ends before an incomplete batch, and one that follows from the
    songs' lengths ends after it (here that batch is full). Stretched copies do not lengthen an epoch.
    """
    windows = epoch_windows(experiment, data)
    if windows is None:
        return experiment.run.epoch_steps or 1
    batch = experiment.data.batch
    return max(1, windows // batch if experiment.data.windows_per_song is not None else -(-windows // batch))


def epoch_windows(experiment: Experiment, data: RunData) -> int | None:
    """Return the windows per epoch that follow from the training songs; None if the steps are set."""
    if experiment.run.epoch_steps is not None:
        return None
    songs = [song for collection in data.training if not collection.is_augmented for song in collection.songs]
    if experiment.data.windows_per_song is not None:
        return len(songs) * experiment.data.windows_per_song
    return experiment.network.epoch_windows(experiment, [song.n_samples for song in songs])


class SongDataset(Dataset[Tensor]):
    """Songs up to a maximum length, as ``float32 (sources, 2, samples)``."""

    def __init__(
        self, songs: Sequence[TrainingSong], max_seconds: float | None, *, sources: Sequence[str] = MUSIC_SOURCES
    ) -> None:
        self._songs = songs
        self._sources = sources
        self._max_samples = None if max_seconds is None else int(max_seconds * SAMPLE_RATE)

    def __len__(self) -> int:
        return len(self._songs)

    def __getitem__(self, index: int) -> Tensor:
        song = self._songs[index]
        n_samples = song.n_samples if self._max_samples is None else min(song.n_samples, self._max_samples)
        return from_numpy(song.stacked(0, n_samples, sources=self._sources))


class RunDataModule(lightning.LightningDataModule):
    """Data loaders of one process; examples depend only on the seed and the step.

    Args:
        experiment: the run.
        data: its songs.
        cache: folder of cached levels.
    """

    def __init__(self, experiment: Experiment, data: RunData, cache: Path) -> None:
        super().__init__()
        self.experiment = experiment
        self.data = data
        self.epoch_steps = epoch_steps(experiment, data)
        self._cache = cache

    def dataset(self) -> RemixDataset:
        """Return all examples of the run, by number."""
        experiment = self.experiment
        return RemixDataset(
            self.data.training,
            experiment.augment,
            sources=experiment.sources,
            n_samples=experiment.window_samples,
            n_examples=experiment.run.epochs * self.epoch_steps * experiment.data.batch,
            seed=experiment.seed,
            draw=experiment.data.draw,
            cache=self._cache,
        )

    def plan(self, world_size: int) -> BatchPlan:
        """Return the distribution of examples over processes."""
        settings = self.experiment.data
        return BatchPlan(
            batch=settings.batch,
            micro_batch=settings.micro_batch,
            world_size=world_size,
            epoch_steps=self.epoch_steps,
        )

    def loader(self, *, rank: int, world_size: int, epoch: int = 0) -> DataLoader[Tensor]:
        """Return the loader of one process, one micro-batch per item, from an epoch on."""
        settings = self.experiment.data
        return DataLoader(
            self.dataset(),
            batch_sampler=PartSampler(self.plan(world_size), rank, epoch),
            num_workers=settings.workers,
            persistent_workers=settings.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def windows(self, step: int, part: int) -> str:
        """Describe the windows of this process in one micro-batch of a step, for error messages."""
        trainer = self.trainer
        rank, world_size = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        numbers = self.plan(world_size).numbers(step, part, rank)
        dataset = self.dataset()
        descriptions = (
            f"window {number} of {', '.join(str(stem.path) for stem in dataset.stems_of(number)) or 'silence'}"
            for number in numbers
        )
        return "; ".join(descriptions)

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Return the training loader of this process."""
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("no trainer is attached; use loader(rank=…, world_size=…)")
        return self.loader(rank=trainer.global_rank, world_size=trainer.world_size, epoch=trainer.current_epoch)

    def val_dataloader(self) -> list[DataLoader[Tensor]]:
        """Return the loader of every ``world_size``-th validation song."""
        trainer = self.trainer
        if not self.data.validation or trainer is None:
            return []
        songs = SongDataset(
            self.data.validation, self.experiment.validation.max_seconds, sources=self.experiment.sources
        )
        mine = Subset(songs, range(trainer.global_rank, len(songs), trainer.world_size))
        return [DataLoader(mine, batch_size=None, shuffle=False)]
