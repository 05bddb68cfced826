"""Checks that the stems of a song exist, are finite and have the mixture's shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from my_submission.challenge.kit_folders import stem_path
from my_submission.challenge.tracks import Track
from my_submission.submission.songs import RehearsalSong
from terminal.names import system_name

_BLOCK_SAMPLES = 1 << 20


def find_stem_faults(results: Path, song: RehearsalSong, track: Track) -> list[str]:
    """Return the problems of a song's stems, one clause each."""
    faults = []
    for source in track.sources:
        path = stem_path(results, song.name, source, track)
        if problem := _problem(path, song):
            faults.append(f"{path.relative_to(results)} {problem}")
    return faults


def _problem(path: Path, song: RehearsalSong) -> str:
    if not path.is_file():
        return "was not written"
    try:
        with soundfile.SoundFile(system_name(path)) as file:
            found = (file.frames, file.channels, file.samplerate)
            if found != (song.samples, 2, song.sample_rate):
                wanted = f"{song.samples} samples, 2 channels, {song.sample_rate} Hz"
                return f"has {found[0]} samples, {found[1]} channels, {found[2]} Hz instead of {wanted}"
            for block in file.blocks(_BLOCK_SAMPLES, dtype="float32"):
                if not np.isfinite(block).all():
                    return "has values that are not finite"
    except soundfile.LibsndfileError as error:
        return f"cannot be read ({error.error_string})"
    return ""
