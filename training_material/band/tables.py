"""CSV tables that describe recordings, and the recordings they name."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from training_material.recordings import read_samples

Wave = npt.NDArray[np.float32]


def rows(path: Path, columns: Sequence[str]) -> list[Mapping[str, str]]:
    """Return the rows of a CSV table.

    Raises:
        InputError: the file cannot be read, has no rows, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines: list[Mapping[str, str]] = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read ({error})", where=path, hint="name the folder that contains it") from error
    missing = [column for column in columns if not lines or column not in lines[0]]
    if missing:
        raise InputError(f"has no rows with {', '.join(missing)}", where=path, hint="correct the table")
    return lines


@lru_cache(maxsize=4096)
def recording(path: Path) -> Wave:
    """Return a recording at 44.1 kHz, read-only ``float32 (channels, samples)``; it is cached.

    Raises:
        InputError: the file cannot be read or has another rate.
    """
    wave, rate = read_samples(path, "float32")
    if rate != SAMPLE_RATE:
        raise InputError(f"has a rate of {rate} Hz", where=path, hint=f"convert it to {SAMPLE_RATE} Hz")
    kept: Wave = np.ascontiguousarray(wave.T, dtype=np.float32)
    kept.flags.writeable = False
    return kept
