"""What limit a song has, where it may depend on the song's length."""

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
    """The time limit for a song; None where there is none.

    Args:
        path: the song.
        budget_seconds: the same limit for every song.
        budget_factor: a limit as a multiple of the song's length; the other is left aside where it is given.
        reading: how the song is read.

    Raises:
        MdxError: a factor is given, and the length is not known before the song is decoded.
    """
    if budget_factor is None:
        return budget_seconds
    info = probe(path, reading)
    if info.samples is None:
        raise MdxError("its length is not known before it is decoded", where=path, hint="use --budget SECONDS")
    return float(budget_factor * info.samples / info.sample_rate)
