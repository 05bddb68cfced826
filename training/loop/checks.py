"""Checks before the first step, so that a run does not fail after hours for a reason that was known at its start."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from my_submission.errors import InputError, OutputError
from my_submission.geometry import SAMPLE_RATE
from training.data.songs import TrainingSong
from training.data.stems import SILENT_SONG_RMS, StemFile
from training.examples.loading import RunData, epoch_steps, epoch_windows
from training.experiment import Experiment
from training.modules.base import module_settings
from training.settings.strict import SettingsError
from training.tables.run import RunSettings

logger = logging.getLogger(__name__)

GIGA = 1e9

LENGTH_TOLERANCE_SECONDS = 0.1
"""Difference in length between the stems of a song that is not reported; encoders pad files by some milliseconds."""


def checked(experiment: Experiment, data: RunData, run: Path) -> str:
    """Check all that :func:`training.loop.fitting.fit` checks before the first step, and describe the run.

    Raises:
        MdxError: the run would fail.
    """
    check_start(experiment, data, run)
    steps = epoch_steps(experiment, data)
    module = module_settings(experiment).module(experiment, total_steps=experiment.run.epochs * steps)
    check_space(experiment, module.network, run)
    n_weights = sum(parameter.numel() for parameter in module.network.parameters())
    return (
        f"{len(data.training_songs)} training songs, {len(data.validation)} validation songs, {n_weights} weights, "
        f"{steps} steps of {experiment.data.batch} windows per epoch, at most {experiment.run.epochs} epochs, "
        f"{needed_bytes(experiment, module.network) / GIGA:.2f} GB of files: ready to train"
    )


def check_start(experiment: Experiment, data: RunData, run: Path) -> None:
    """Check devices, songs and the folder of a run, which is created.

    Raises:
        SettingsError: devices are missing.
        InputError: the songs do not fit the experiment.
        OutputError: the folder cannot be written.
    """
    check_devices(experiment.run)
    check_songs(experiment, data)
    check_folder(run)


def check_songs(experiment: Experiment, data: RunData) -> None:
    """Check that the songs fit the experiment.

    Raises:
        InputError: a target has no training stem, or none to validate on; a stem is shorter than a window; stems of a
            validation song differ in length; an epoch has fewer windows than a batch; there are fewer validation songs
            than processes.
    """
    _check_sources(experiment, data)
    _check_lengths(experiment, data)
    windows = epoch_windows(experiment, data)
    if windows is not None and windows < experiment.data.batch:
        raise InputError(
            f"an epoch has {windows} windows of {experiment.window_samples / SAMPLE_RATE:.2f} s, fewer than "
            f"data.batch={experiment.data.batch}",
            hint="add songs, lower data.batch, or set run.epoch_steps",
        )
    n_songs, n_processes = len(data.validation), experiment.run.world_size
    if 0 < n_songs < n_processes:
        raise InputError(
            f"there are {n_songs} validation songs for {n_processes} processes, which validate one each at a time",
            hint=f"name more songs with --valid or data.held_out, or use run.devices={max(1, n_songs)}",
        )
    if data.validation:
        _check_validation(experiment, data.validation)


def _check_sources(experiment: Experiment, data: RunData) -> None:
    songs = data.training_songs
    for source in experiment.sources:
        if not any(source in song.stems for song in songs):
            raise InputError(
                f"no training song has a stem of {source}",
                hint="add a collection that has one; `python -m training fit --help` names the layout",
            )


def _check_lengths(experiment: Experiment, data: RunData) -> None:
    songs = data.training_songs
    used = [stem for song in songs for source, stem in song.stems.items() if source in experiment.sources]
    short = [stem for stem in used if stem.n_samples < experiment.window_samples]
    if short and not experiment.data.pad_short_stems:
        raise InputError(
            f"is {short[0].n_samples / SAMPLE_RATE:.2f} s, shorter than a window of "
            f"{experiment.window_samples / SAMPLE_RATE:.2f} s{_and_others(len(short) - 1)}",
            where=short[0].path,
            hint="remove it, shorten windows (transform.frames or data.window_seconds), or set "
            "data.pad_short_stems=true to fill its windows with silence",
        )
    if uneven := [song for song in songs if _spread_seconds(song) > LENGTH_TOLERANCE_SECONDS]:
        message = "the stems of %s differ in length by %.1f s%s; shorter ones are filled with silence at the end"
        logger.warning(message, uneven[0].name, _spread_seconds(uneven[0]), _and_others(len(uneven) - 1))
    for song in data.validation:
        if (spread := _spread_seconds(song)) > LENGTH_TOLERANCE_SECONDS:
            shortest = min(song.stems.values(), key=lambda stem: stem.n_samples)
            raise InputError(
                f"is {spread:.1f} s shorter than another stem of the song, so the mixture would be wrong",
                where=shortest.path,
                hint="export the stems at the same length, or leave the song out of the validation",
            )


def _check_validation(experiment: Experiment, songs: Sequence[TrainingSong]) -> None:
    for target in experiment.targets:
        stems = [song.stems[target] for song in songs if target in song.stems]
        if not any(_is_audible(stem, experiment.validation.max_seconds) for stem in stems):
            found = "an audible stem" if stems else "a stem"
            raise InputError(
                f"no validation song has {found} of {target}",
                hint=f"name a song with {target} with --valid or data.held_out, or raise validation.max_seconds",
            )


def _is_audible(stem: StemFile, max_seconds: float | None) -> bool:
    """Whether the part of a stem that is validated on is louder than silence; it is read in blocks up to there."""
    end = stem.n_samples if max_seconds is None else min(stem.n_samples, int(max_seconds * SAMPLE_RATE))
    limit = SILENT_SONG_RMS**2 * 2 * end
    energy = 0.0
    for start in range(0, end, SAMPLE_RATE * 10):
        energy += float(np.sum(np.square(stem.window(start, min(SAMPLE_RATE * 10, end - start)), dtype=np.float64)))
        if energy > limit:
            return True
    return False


def _spread_seconds(song: TrainingSong) -> float:
    lengths = [stem.n_samples for stem in song.stems.values()]
    return (max(lengths) - min(lengths)) / SAMPLE_RATE


def _and_others(n: int) -> str:
    return f" (and {n} more)" if n else ""


def check_devices(settings: RunSettings) -> None:
    """Check for settings that Lightning would silently change, or refuse with a stack trace.

    Raises:
        SettingsError: a GPU or a precision that needs one is required but there is none, or there are too few GPUs.
    """
    if torch.cuda.is_available() and settings.accelerator != "cpu":
        if settings.devices > (n_gpus := torch.cuda.device_count()):
            problem = f"run.devices={settings.devices}, but this machine has {n_gpus} GPUs"
            raise SettingsError(problem, hint=f"use run.devices={n_gpus}; data.batch stays the same")
        return
    if settings.accelerator == "gpu":
        raise SettingsError("run.accelerator is gpu, but torch finds none", hint="use run.accelerator=cpu")
    if settings.precision == "16-mixed":
        hint = "use run.precision=bf16-mixed or run.precision=32-true"
        raise SettingsError("run.precision=16-mixed needs a GPU", hint=hint)


def check_folder(run: Path) -> None:
    """Create the folder of a run and check that files can be written there.

    Raises:
        OutputError: the folder cannot be created or written.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=run):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror})", where=run, hint="choose another folder with --runs"
        ) from error


def check_space(experiment: Experiment, network: nn.Module, run: Path) -> None:
    """Check that the disk has room for the checkpoints and graphs of a run.

    Raises:
        OutputError: the disk has too little room.
    """
    needed, free = needed_bytes(experiment, network), shutil.disk_usage(run).free
    if needed > free:
        raise OutputError(
            f"its checkpoints and exported networks need {needed / GIGA:.1f} GB, "
            f"but only {free / GIGA:.1f} GB are free",
            where=run,
            hint="free space, choose another folder with --runs, or lower validation.keep_best",
        )


def needed_bytes(experiment: Experiment, network: nn.Module) -> int:
    """Return the bytes of all files of a run: checkpoints, one being replaced, exported networks, kept weights."""
    weights = sum(value.numel() * value.element_size() for value in _values(network))
    state = weights * (2 if experiment.run.ema else 1)
    whole = state + weights * experiment.optimiser.n_moments
    best = state if experiment.run.save_weights_only else whole
    n_best = experiment.validation.keep_best
    every = experiment.run.keep_every_epochs
    n_kept = 0 if every is None else experiment.run.epochs // every
    return best * (n_best + 1) + whole * 2 + weights * (n_best + 2) + state * n_kept


def _values(network: nn.Module) -> Iterator[torch.Tensor]:
    yield from network.parameters()
    yield from network.buffers()
