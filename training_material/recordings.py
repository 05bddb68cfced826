"""Folders of short recordings: utterances, syllables, effects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from terminal.names import system_name

RECORDING_SUFFIXES = (".wav", ".flac", ".ogg")

Mono = npt.NDArray[np.float64]


def recordings_in(folder: Path, suffixes: Sequence[str] = RECORDING_SUFFIXES) -> list[Path]:
    """Every recording of a folder and the folders in it, in the order of names.

    Raises:
        InputError: there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    if not found:
        raise InputError(f"holds no recording ({' '.join(suffixes)})", where=folder, hint="name a folder of recordings")
    return found


def read_mono(path: Path) -> Mono:
    """Samples at 44.1 kHz, the mean of all channels.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        wave, rate = soundfile.read(system_name(path), always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"is no readable recording ({error})", where=path, hint="remove it") from error
    return np.asarray(soxr.resample(wave.mean(axis=1), rate, SAMPLE_RATE))


def at_speed(mono: Mono, factor: float) -> Mono:
    """As from a tape that runs ``factor`` times as fast: pitch and length change together."""
    return np.asarray(soxr.resample(mono, SAMPLE_RATE * factor, SAMPLE_RATE)) if factor != 1.0 else mono
