"""Separation of songs with the networks of a models folder, for fitting on their estimates."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from my_submission.engines import resolve_device
from my_submission.errors import UnknownNameError
from my_submission.mechanisms import RunOptions, SpectralRecipe
from my_submission.predictor.core import Predictor
from my_submission.stems import MUSIC_SOURCES, Waveform, stack_stems
from my_submission.systems import BranchRecipe, SystemRecipe, load_system
from my_submission.weights import ModelsFolder
from training.data.songs import TrainingSong
from training.phase2.statistics import MixerStatistics, mixer_inputs, windows

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeparatedSong:
    """Moments of a separated song.

    Attributes:
        name: name of the song.
        windows: moments of consecutive windows of the estimates, the mixture and the true stems.
    """

    name: str
    windows: Sequence[MixerStatistics]


def network_predictor(models: Path, family: str, *, device: str = "auto") -> Predictor:
    """Return a predictor of the networks ``<family>/<source>`` alone, without Mixer or blend.

    Raises:
        UnknownNameError: the folder lacks such a network.
        WeightsError: a file is missing or damaged.
    """
    names = {source: f"{family}/{source}" for source in MUSIC_SOURCES}
    folder = ModelsFolder(models)
    present = {artefact.name for artefact in folder.artefacts}
    if missing := [name for name in names.values() if name not in present]:
        raise UnknownNameError(
            f"lacks the networks {', '.join(missing)}",
            where=models,
            hint=f"train them first (python -m training fit {missing[0]} ... --runs {models}), or change --family",
        )
    networks = SpectralRecipe(names)
    branch = BranchRecipe("networks", networks, dict.fromkeys(MUSIC_SOURCES, 1.0))
    recipe = SystemRecipe(f"{family}-networks", "networks whose Mixer is being fitted", MUSIC_SOURCES, (branch,))
    return Predictor(load_system(recipe, folder, RunOptions(device=resolve_device(device))))


def estimates_of(predictor: Predictor, stems: Waveform) -> Waveform:
    """Separate the sum of true stems ``(4, 2, samples)``; returns the Mixer's inputs ``float32 (5, 2, samples)``."""
    mixture = np.asarray(stems.sum(axis=0), dtype=np.float32)
    return mixer_inputs(stack_stems(predictor.separate(mixture), MUSIC_SOURCES), mixture)


def separate_songs(
    predictor: Predictor, songs: Sequence[TrainingSong], *, window_samples: int
) -> Iterator[SeparatedSong]:
    """Separate songs one by one; yields the moments of their windows."""
    for song in songs:
        stems = song.stacked()
        logger.info("separating %s (%.0f s)", song.name, stems.shape[-1] / 44_100)
        yield SeparatedSong(song.name, tuple(windows(estimates_of(predictor, stems), stems, window_samples)))
