"""Time limits of the challenges: seconds per song, or a multiple of its duration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from my_submission.errors import InputError

SECONDS_VARIABLE = "INFERENCE_PER_MUSIC_TIMEOUT_SECONDS"
"""Variable of the 2021 grader with the limit per song."""

FACTOR_VARIABLE = "INFERENCE_PER_MUSIC_TIMEOUT_FACTOR"
"""Variable with the limit as a multiple of the song's duration (1.57 from round two on)."""

SETUP_VARIABLE = "INFERENCE_SETUP_TIMEOUT_SECONDS"
"""Variable of the 2021 grader with the limit for loading."""

SAFETY_SHARE = 0.95
"""Share of a limit used for planning, because the grader's clock includes overhead around the call."""


@dataclass(frozen=True, kw_only=True)
class SongLimit:
    """Time limit of one song.

    Attributes:
        seconds: an absolute limit, or None.
        duration_factor: a limit as a multiple of the song's duration, or None. With both, the shorter one applies.
    """

    seconds: float | None = None
    duration_factor: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.seconds, self.duration_factor) if value is not None]
        if not given:
            raise ValueError("a limit needs seconds, a duration factor, or both")
        if not all(0 < value < math.inf for value in given):
            raise ValueError(f"a limit must be a number above zero: {self}")

    def seconds_for(self, duration_seconds: float) -> float:
        """Return the limit of a song of this duration, in seconds."""
        by_duration = math.inf if self.duration_factor is None else self.duration_factor * duration_seconds
        return min(math.inf if self.seconds is None else self.seconds, by_duration)

    def planned_seconds(self, duration_seconds: float) -> float:
        """Return the seconds to plan with, so that the limit is kept by the grader's own clock."""
        return SAFETY_SHARE * self.seconds_for(duration_seconds)

    def __str__(self) -> str:
        texts = [f"{self.seconds:g} s"] if self.seconds is not None else []
        texts += [f"{self.duration_factor:g} x the song's duration"] if self.duration_factor is not None else []
        return " and ".join(texts) + " per song"


def limit_from_environment(environment: Mapping[str, str], otherwise: SongLimit) -> SongLimit:
    """Return the limit from the grader's variables, or ``otherwise`` if none is set.

    Raises:
        InputError: a variable is not a number above zero.
    """
    seconds = seconds_variable(environment, SECONDS_VARIABLE)
    factor = seconds_variable(environment, FACTOR_VARIABLE)
    if seconds is None and factor is None:
        return otherwise
    return SongLimit(seconds=seconds, duration_factor=factor)


def seconds_variable(environment: Mapping[str, str], name: str) -> float | None:
    """Return a number above zero from a variable; None if it is unset or empty.

    Raises:
        InputError: the variable is something else.
    """
    text = environment.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise InputError(f"{name}={text!r} is not a number", hint=f"set {name} to seconds or unset it") from error
    if not 0 < value < math.inf:
        raise InputError(f"{name}={text!r} is not a number above zero", hint=f"set {name} to seconds or unset it")
    return value
