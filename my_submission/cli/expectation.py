"""The first line of a run: the work and its expected duration."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from my_submission.audio_io import ReadOptions, SongInput, stated_seconds
from my_submission.cli.options import TimeOptions
from my_submission.predictor import Predictor
from terminal.quantities import about, counted, duration, songs

HEADERS_SECONDS = 1.0
"""Time for reading the lengths of all songs before the first one; a header takes 0.1 ms from a local disk."""


def expectation(
    inputs: Sequence[SongInput],
    durations: Sequence[float | None],
    predictor: Predictor,
    limits: TimeOptions,
    *,
    draws_pictures: bool = False,
) -> str:
    """Return a line such as "Separating 9 songs (31 min 5 s) with starter-plus on the CPU, 2 threads: about 4 min".

    Args:
        inputs: the songs.
        durations: their lengths in seconds; None if unknown.
        predictor: predictor that separates them.
        limits: time limits.
        draws_pictures: whether pictures are drawn after the stems, for which no time is reserved.
    """
    known = [seconds for seconds in durations if seconds is not None]
    music = f" ({duration(sum(known))})" if len(known) == len(inputs) else ""
    what = inputs[0].name if len(inputs) == 1 else songs(len(inputs))
    text = f"Separating {what}{music} with {predictor.system.recipe.name} on {device_words(predictor)}"
    more = ", then its pictures" if draws_pictures else ""
    if limits.budget is not None:
        return f"{text}: at most {duration(limits.budget)} per song{more}"
    if limits.budget_factor is not None:
        return f"{text}: at most {limits.budget_factor:g} x the length of each song{more}"
    seconds = predictor.expected_seconds(sum(known)) if music and limits.refines is None else None
    return text if seconds is None else f"{text}: {about(seconds)}"


def device_words(predictor: Predictor) -> str:
    """Return where a predictor runs: "the CPU, 2 threads" or "the GPU cuda:0"."""
    if predictor.device.kind != "cpu":
        return f"the GPU {predictor.device}"
    if predictor.n_threads is None:
        return "the CPU"
    return f"the CPU, {counted(predictor.n_threads, 'thread')}"


def durations_of(
    paths: Sequence[Path | None], reading: ReadOptions, *, now: Callable[[], float] = time.monotonic
) -> list[float | None]:
    """Return the lengths of songs in seconds by their headers, for the progress of a run.

    Reading the headers ends after :data:`HEADERS_SECONDS`, so that the first song starts soon; a run of many songs on a
    slow disk then shows shares by the mean of the known lengths.

    Args:
        paths: the songs; None for a song without a file.
        reading: options of reading the songs.
        now: monotonic seconds.

    Returns:
        A length per song; None if it is unknown.
    """
    end = now() + HEADERS_SECONDS
    return [None if path is None or now() >= end else stated_seconds(path, reading) for path in paths]
