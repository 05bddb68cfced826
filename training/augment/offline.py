"""Pitch-shifted and time-stretched copies of songs, as published, by the program ``soundstretch``.

Copies are ``<name>_p=<semitones>_t=<per cent>/<song>/<source>.wav``. They keep the name of the song, so that held-out
songs stay held out.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import soundfile

from my_submission.geometry import SAMPLE_RATE
from training.data.decoding import as_pcm
from training.data.songs import SongCollection
from training.data.stems import StemFile
from training.programs import require_program, run

logger = logging.getLogger(__name__)

MAX_SECONDS = 3600.0
"""Time limit per stem, which takes seconds."""

PROGRAM = "soundstretch"
SEMITONES = (-2, -1, 0, 1, 2)
TEMPO_PERCENT = (-20, -10, 0, 10, 20)
"""The 25 published pairs; the pair (0, 0) is the song itself and is not copied."""


@dataclass(frozen=True)
class StretchedCopy:
    """A copy of one stem: its pitch, tempo and output file."""

    stem: StemFile
    semitones: int
    tempo_percent: int
    path: Path

    @property
    def command(self) -> list[str]:
        """Options of the program; positive percentages are faster, vocals use its speech mode."""
        options = [f"-pitch={self.semitones}", f"-tempo={self.tempo_percent}"]
        return [*options, "-speech"] if self.stem.source == "vocals" else options


def plan_copies(
    collection: SongCollection, root: Path, *, semitones: Sequence[int], tempo_percent: Sequence[int]
) -> list[StretchedCopy]:
    """Return all copies of a collection, in the order of folders."""
    return [
        StretchedCopy(stem, p, t, root / f"{collection.name}_p={p}_t={t}" / song.name / f"{source}.wav")
        for p, t in product(semitones, tempo_percent)
        if (p, t) != (0, 0)
        for song in collection.songs
        for source, stem in song.stems.items()
    ]


def write_copies(copies: Sequence[StretchedCopy], *, n_processes: int) -> int:
    """Write the missing copies, several at a time; returns their number.

    Raises:
        InputError: the program is not installed.
        MdxError: the program fails on a stem.
    """
    require_program(PROGRAM)
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
        run([PROGRAM, original, stretched, *copy.command], where=copy.stem.path, seconds=MAX_SECONDS)
        os.replace(stretched, copy.path)
    return copy
