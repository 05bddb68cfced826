"""Time limits of songs, also as multiples of their lengths."""

from __future__ import annotations

from pathlib import Path

from my_submission.audio_io import DEFAULT_READ_OPTIONS, ReadOptions, probe
from my_submission.errors import MdxError


def time_limit_seconds(
    path: Path,
    *,
    budget_seconds: float | None,
    budget_factor: float | None,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
) -> float | None:
    """Return the time limit of a song in seconds, or None.

    Args:
        path: the song.
        budget_seconds: the same limit for every song.
        budget_factor: limit as a multiple of the song's length; it replaces ``budget_seconds``.
        reading: options of reading the song.

    Raises:
        MdxError: a factor is given, and the length is unknown before the song is decoded.
    """
    if budget_factor is None:
        return budget_seconds
    info = probe(path, reading)
    if info.samples is None:
        raise MdxError("its length is not known before it is decoded", where=path, hint="use --budget SECONDS")
    return float(budget_factor * info.samples / info.sample_rate)
