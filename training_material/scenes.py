"""Film scenes from stems of their own: music mixed down, and scenes of dialog, effect and music at a film's levels."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import CINEMA_SOURCES, MUSIC_SOURCES, Waveform
from training.augment.levels import Loudness
from training.data.songs import TrainingSong, read_collection
from training.data.stems import FULL_SCALE, SILENCE_RMS, SPOOL_SUFFIX, write_stem

logger = logging.getLogger(__name__)

LOUDNESS_LUFS = {"dialog": (-29.0, -25.0), "effect": (-38.0, -33.0), "music": (-35.0, -24.0)}
"""Ranges of integrated loudness that a scene's stems are brought to, each drawn evenly."""

MIN_SOUND = 0.25
"""Share of a stem's half-seconds that must sound where a scene is cut from it."""

CUTS_TRIED = 20
PIECE = SAMPLE_RATE // 2
PEAK = 0.99


def mix_down(folders: Sequence[Path], collection: Path, *, max_seconds: float) -> int:
    """The stems of every song in these folders, added up into ``collection/<song>/music.npy``.

    Songs that are there already are kept; louder than full scale is brought down as a whole.

    Returns:
        Songs that are there now.

    Raises:
        InputError: a folder holds no song.
    """
    n_there = 0
    for folder in folders:
        for song in read_collection(folder).songs:
            is_there = (collection / song.name / f"music{SPOOL_SUFFIX}").is_file()
            if not is_there:
                n_samples = min(song.n_samples, int(max_seconds * SAMPLE_RATE))
                mixed = song.stacked(0, n_samples, sources=MUSIC_SOURCES).sum(axis=0)
                mixed *= np.float32(min(1.0, PEAK / max(1e-9, float(np.abs(mixed).max()))))
                is_there = write_stem(collection / song.name, "music", np.rint(mixed.T * FULL_SCALE).astype(np.int16))
                logger.info("%s", song.name)
            n_there += is_there
    return n_there


def write_scenes(folders: Sequence[Path], out: Path, *, seed: int, n_scenes: int, seconds: float) -> int:
    """Writes ``out/scene-<n>/{mixture,dialog,effect,music}.wav``, float32 stereo; the mixture is the sum of the stems.

    Scene number n follows from the seed and n. A scene appears in one step, and those that are there are kept.

    Args:
        folders: collections that together have songs of every cinema source, cut at random.
        out: folder to write to.
        seed: of everything drawn.
        n_scenes: how many there are to be.
        seconds: length of each.

    Returns:
        Scenes that are there now.

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
    """A part of a random song that sounds for long enough, at its loudness."""
    for _ in range(CUTS_TRIED):
        song = songs[int(rng.integers(len(songs)))]
        window = song.window(source, int(rng.integers(0, song.n_samples - n_samples + 1)), n_samples)
        pieces = window[:, : n_samples // PIECE * PIECE].reshape(2, -1, PIECE)
        if np.mean(np.mean(pieces**2, axis=(0, 2)) > SILENCE_RMS**2) >= MIN_SOUND:
            break
    target = rng.uniform(*LOUDNESS_LUFS[source])
    return Loudness(target_lufs=target, high_db=80.0).apply(window, rng)


def _write_scene(folder: Path, stems: dict[str, Waveform]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".scene-", dir=folder.parent) as scratch:
        parts = Path(scratch) / "scene"
        parts.mkdir()
        for name, stem in {"mixture": np.sum(list(stems.values()), axis=0), **stems}.items():
            soundfile.write(parts / f"{name}.wav", stem.T, SAMPLE_RATE, subtype="FLOAT")
        os.replace(parts, folder)
