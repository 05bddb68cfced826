"""Film scenes: dialog, effect and music mixed at film levels, and songs mixed down to music stems."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import CINEMA_SOURCES, MUSIC_SOURCES, Waveform
from training.augment.levels import Loudness
from training.data.songs import TrainingSong, read_collection
from training.data.stems import FULL_SCALE, SILENCE_RMS, Pcm
from training_material.stem_writer import whole_song, write_missing

logger = logging.getLogger(__name__)

LOUDNESS_LUFS = {"dialog": (-29.0, -25.0), "effect": (-38.0, -33.0), "music": (-35.0, -24.0)}
"""Range of the integrated loudness of each stem, drawn uniformly."""

MIN_ACTIVE_SHARE = 0.25
"""Share of a window's half-seconds that must not be silent."""

MAX_TRIES = 20
BLOCK_SAMPLES = SAMPLE_RATE // 2
PEAK = 0.99


def mix_down(folders: Sequence[Path], collection: Path, *, max_seconds: float) -> int:
    """Write the sum of the stems of every song in the folders to ``collection/<song>/music.npy``.

    Existing songs are kept. Sums above full scale are attenuated.

    Returns:
        Number of songs that exist now.

    Raises:
        InputError: a folder contains no song.
    """

    def make(song: TrainingSong) -> Pcm:
        n_samples = min(song.n_samples, int(max_seconds * SAMPLE_RATE))
        mixed = song.stacked(0, n_samples, sources=MUSIC_SOURCES).sum(axis=0)
        mixed *= np.float32(min(1.0, PEAK / max(1e-9, float(np.abs(mixed).max()))))
        return np.asarray(np.rint(mixed.T * FULL_SCALE).astype(np.int16))

    songs = [song for folder in folders for song in read_collection(folder).songs]
    return sum(write_missing(collection / song.name, "music", partial(make, song)) for song in songs)


def write_scenes(folders: Sequence[Path], out: Path, *, seed: int, n_scenes: int, seconds: float) -> int:
    """Write ``out/scene-<n>/{mixture,dialog,effect,music}.wav``, float32 stereo; the mixture is the sum of the stems.

    Scene number n depends only on the seed and n. Scene folders are complete when they appear; existing ones are kept.

    Args:
        folders: collections that together have songs of every cinema source.
        out: output folder.
        seed: seed of all random numbers.
        n_scenes: number of scenes.
        seconds: length of each.

    Returns:
        Number of scenes that exist now.

    Raises:
        InputError: a source has no song long enough.
    """
    n_samples = int(seconds * SAMPLE_RATE)
    songs = [song for folder in folders for song in read_collection(folder).songs]
    pools = {source: [s for s in songs if source in s.stems and s.n_samples >= n_samples] for source in CINEMA_SOURCES}
    if missing := [source for source, pool in pools.items() if not pool]:
        raise InputError(f"no song of {seconds:g} s has {', '.join(missing)}", hint="name a collection that has one")
    for index in range(n_scenes):
        folder = out / f"scene-{index:03d}"
        if not folder.is_dir():
            rng = np.random.default_rng([seed, index])
            _write_scene(folder, {source: _cut(rng, pools[source], source, n_samples) for source in CINEMA_SOURCES})
            logger.info("%s", folder.name)
    return n_scenes


def _cut(rng: np.random.Generator, songs: Sequence[TrainingSong], source: str, n_samples: int) -> Waveform:
    """Return a random window of a random song, not mostly silent if possible, at a random loudness."""
    for _ in range(MAX_TRIES):
        song = songs[int(rng.integers(len(songs)))]
        window = song.window(source, int(rng.integers(0, song.n_samples - n_samples + 1)), n_samples)
        blocks = window[:, : n_samples // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(2, -1, BLOCK_SAMPLES)
        if np.mean(np.mean(blocks**2, axis=(0, 2)) > SILENCE_RMS**2) >= MIN_ACTIVE_SHARE:
            break
    target = rng.uniform(*LOUDNESS_LUFS[source])
    return Loudness(target_lufs=target, high_db=80.0).apply(window, rng)


def _write_scene(folder: Path, stems: dict[str, Waveform]) -> None:
    with whole_song(folder) as (parts, _):
        parts.mkdir()
        for name, stem in {"mixture": np.sum(list(stems.values()), axis=0), **stems}.items():
            soundfile.write(parts / f"{name}.wav", stem.T, SAMPLE_RATE, subtype="FLOAT")
