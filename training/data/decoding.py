"""Decoding of songs to int16 arrays, from which windows are read without decoding."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from evaluator.stem_mp4 import decode_stem_mp4
from my_submission.audio_io import song_name
from my_submission.errors import InputError
from my_submission.stems import MUSIC_SOURCES
from terminal.names import system_name
from training.data.songs import require_song
from training.data.stems import FULL_SCALE, OFFSET_SUFFIXES, SPOOL_SUFFIX, Pcm, StemFile, write_stem

logger = logging.getLogger(__name__)


def as_pcm(stem: StemFile) -> Pcm:
    """Return a whole stem as int16 ``(samples, 2)``, rounded and clipped to full scale."""
    if stem.path.suffix in OFFSET_SUFFIXES and soundfile.info(system_name(stem.path)).subtype == "PCM_16":
        pcm, _ = soundfile.read(system_name(stem.path), dtype="int16", always_2d=True)
        stereo: Pcm = np.array(np.broadcast_to(pcm, (len(pcm), 2)))
        return stereo
    scaled = np.rint(stem.window(0, stem.n_samples).T * FULL_SCALE)
    return np.asarray(np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1), dtype=np.int16)


def decode_songs(inputs: Iterable[Path], collection: Path) -> int:
    """Decode song folders and ``.stem.mp4`` files into ``collection/<song>/<source>.npy``.

    Silent stems are left out. Existing stems are kept, so an interrupted run continues.

    Returns:
        Number of songs in the collection now.

    Raises:
        InputError: a folder contains no stem, or a stem cannot be read.
        DatasetError: a stem file cannot be decoded.
    """
    n_songs = 0
    for given in inputs:
        if given.is_dir():
            name, n_stems = given.resolve().name, _decode_folder(given, collection / given.resolve().name)
        elif given.name.endswith(".stem.mp4"):
            name = song_name(given)
            n_stems = _decode_stem_file(given, collection / name)
        else:
            raise InputError("is neither a song folder nor a .stem.mp4 file", where=given)
        n_songs += n_stems > 0
        logger.info("%s: %d stems", name, n_stems)
    return n_songs


def _decode_folder(folder: Path, song: Path) -> int:
    stems = require_song(folder).stems
    return sum(_is_there(song, source) or write_stem(song, source, as_pcm(stem)) for source, stem in stems.items())


def _decode_stem_file(path: Path, song: Path) -> int:
    if all(_is_there(song, source) for source in MUSIC_SOURCES):
        return len(MUSIC_SOURCES)
    with tempfile.TemporaryDirectory() as scratch:
        decode_stem_mp4(path, Path(scratch))
        return _decode_folder(Path(scratch), song)


def _is_there(song: Path, source: str) -> bool:
    return (song / f"{source}{SPOOL_SUFFIX}").is_file()
