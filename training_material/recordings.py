"""Short recordings: one-shots, syllables, utterances and sound effects."""

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
Stereo = npt.NDArray[np.float64]


def recordings_in(folder: Path, suffixes: Sequence[str] = RECORDING_SUFFIXES) -> list[Path]:
    """Return every recording below a folder, sorted by path.

    Raises:
        InputError: the folder contains no recording.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    if not found:
        raise InputError(
            f"contains no recording ({' '.join(suffixes)})", where=folder, hint="name a folder of recordings"
        )
    return found


def read_samples(path: Path, dtype: str = "float64") -> tuple[npt.NDArray[np.floating], int]:
    """Return the samples ``(samples, channels)`` and the rate of a recording.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        wave, rate = soundfile.read(system_name(path), dtype=dtype, always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"is not a readable recording ({error})", where=path, hint="replace or remove it") from error
    return wave, rate


def read_mono(path: Path) -> Mono:
    """Return the mean of a recording's channels at 44.1 kHz, ``(samples,)``.

    Raises:
        InputError: the file cannot be read.
    """
    wave, rate = read_samples(path)
    return np.asarray(soxr.resample(wave.mean(axis=1), rate, SAMPLE_RATE))


def read_stereo(path: Path) -> Stereo:
    """Return a recording at 44.1 kHz, ``(2, samples)``; mono is doubled, channels beyond the second are dropped.

    Raises:
        InputError: the file cannot be read.
    """
    wave, rate = read_samples(path)
    if rate != SAMPLE_RATE:
        wave = soxr.resample(wave, rate, SAMPLE_RATE)
    return np.asarray(np.broadcast_to(wave.T, (2, len(wave))) if wave.shape[1] == 1 else wave.T[:2])


def at_speed(mono: Mono, factor: float) -> Mono:
    """Play ``(samples,)`` ``factor`` times as fast by resampling, which shifts the pitch as well."""
    return np.asarray(soxr.resample(mono, SAMPLE_RATE * factor, SAMPLE_RATE)) if factor != 1.0 else mono
