"""Tables that describe recordings, and the recordings themselves, read once."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from terminal.names import system_name

Wave = npt.NDArray[np.float32]


def rows(path: Path, columns: Sequence[str]) -> list[Mapping[str, str]]:
    """Lines of a CSV table by its heading.

    Raises:
        InputError: it cannot be read, has no lines, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines: list[Mapping[str, str]] = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read ({error})", where=path, hint="name the folder that holds it") from error
    missing = [column for column in columns if not lines or column not in lines[0]]
    if missing:
        raise InputError(f"has no line with {', '.join(missing)}", where=path, hint="mend the table")
    return lines


@lru_cache(maxsize=4096)
def recording(path: Path) -> Wave:
    """Samples ``float32 (channels, samples)`` of a recording at 44.1 kHz; kept, since a song plays it often.

    Raises:
        InputError: it cannot be read or has another rate.
    """
    try:
        wave, rate = soundfile.read(system_name(path), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"is no readable recording ({error})", where=path, hint="mend or remove it") from error
    if rate != SAMPLE_RATE:
        raise InputError(f"has a rate of {rate} Hz", where=path, hint=f"convert it to {SAMPLE_RATE} Hz")
    kept: Wave = np.ascontiguousarray(wave.T)
    kept.flags.writeable = False
    return kept
