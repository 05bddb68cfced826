"""Stretched copies of songs, as published: every pitch with every tempo, by the program ``soundstretch``.

A copy of a song in ``<name>_p=<semitones>_t=<per cent>/<song>/<source>.wav`` is the same song under the same name, so
that a held-out song stays held out.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import soundfile

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from training.data.decoding import as_pcm
from training.data.songs import SongCollection
from training.data.stems import StemFile
from training.programs import run

logger = logging.getLogger(__name__)

STRETCHING_SECONDS = 3600.0
"""A song takes seconds; a program that works on one for an hour hangs."""

PROGRAM = "soundstretch"
SEMITONES = (-2, -1, 0, 1, 2)
TEMPO_PERCENT = (-20, -10, 0, 10, 20)
"""The published 25 pairs; the one of zeros is the song itself and is not copied."""


@dataclass(frozen=True)
class StretchedCopy:
    """One stem at one pitch and tempo, and where it goes."""

    stem: StemFile
    semitones: int
    tempo_percent: int
    path: Path

    @property
    def command(self) -> list[str]:
        """Switches for the program; vocals use its setting for speech. More per cent are faster."""
        switches = [f"-pitch={self.semitones}", f"-tempo={self.tempo_percent}"]
        return [*switches, "-speech"] if self.stem.source == "vocals" else switches


def plan_copies(
    collection: SongCollection, root: Path, *, semitones: Sequence[int], tempo_percent: Sequence[int]
) -> list[StretchedCopy]:
    """Every copy of a collection, in the order of folders."""
    return [
        StretchedCopy(stem, p, t, root / f"{collection.name}_p={p}_t={t}" / song.name / f"{source}.wav")
        for p, t in product(semitones, tempo_percent)
        if (p, t) != (0, 0)
        for song in collection.songs
        for source, stem in song.stems.items()
    ]


def write_copies(copies: Sequence[StretchedCopy], *, n_processes: int) -> int:
    """Writes the copies that are not there yet, several at a time; returns how many were written.

    Raises:
        InputError: the program is not installed, or fails on a stem.
    """
    if shutil.which(PROGRAM) is None:
        raise InputError(
            f"the program {PROGRAM} is not installed", hint=f"install it (Debian: apt-get install {PROGRAM})"
        )
    missing = [copy for copy in copies if not copy.path.is_file()]
    with ThreadPoolExecutor(n_processes) as pool:
        for index, copy in enumerate(pool.map(_write, missing), start=1):
            logger.info("%d of %d: %s", index, len(missing), copy.path)
    return len(missing)


def _write(copy: StretchedCopy) -> StretchedCopy:
    copy.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".stretch-", dir=copy.path.parent) as scratch:
        original, stretched = Path(scratch) / "original.wav", Path(scratch) / "stretched.wav"
        soundfile.write(original, as_pcm(copy.stem), SAMPLE_RATE, subtype="PCM_16")
        run([PROGRAM, original, stretched, *copy.command], where=copy.stem.path, seconds=STRETCHING_SECONDS)
        os.replace(stretched, copy.path)
    return copy
