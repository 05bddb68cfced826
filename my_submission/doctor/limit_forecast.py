"""Forecasts whether a system meets the challenges' time limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from my_submission.challenge import SongLimit

LIMITS = (SongLimit(seconds=240.0), SongLimit(duration_factor=1.57))
"""Rounds one and two of 2021; the second is that of 2023 too."""

SONG_SECONDS = (180.0, 300.0, 600.0)
"""Three, five and ten minutes."""


@dataclass(frozen=True)
class LimitForecast:
    """One song under one limit.

    Attributes:
        song_seconds: length of the song.
        limit: the limit.
        needed_seconds: time of the whole system as published.
        allowed_seconds: the limit less its safety margin.
    """

    song_seconds: float
    limit: SongLimit
    needed_seconds: float
    allowed_seconds: float

    @property
    def is_met(self) -> bool:
        """Whether the limit would be met with all work."""
        return self.needed_seconds <= self.allowed_seconds

    @property
    def done_share(self) -> float:
        """Share of the work that would be done in time."""
        return min(1.0, self.allowed_seconds / self.needed_seconds) if self.needed_seconds else 1.0


def forecast(
    cost: float, *, songs: Sequence[float] = SONG_SECONDS, limits: Sequence[SongLimit] = LIMITS
) -> list[LimitForecast]:
    """Forecast a system of known cost for songs of some lengths.

    Args:
        cost: seconds of work per second of song.
    """
    return [
        LimitForecast(seconds, limit, cost * seconds, limit.planned_seconds(seconds))
        for seconds in songs
        for limit in limits
    ]
