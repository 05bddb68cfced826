"""Results of a rehearsal: its measurements, and the submission's own report of each song."""

from __future__ import annotations

from dataclasses import dataclass

from my_submission.challenge.tracks import GraderMachine
from my_submission.submission.confinement import ConfinedRun


@dataclass(frozen=True, kw_only=True)
class SongResult:
    """One song of a rehearsal.

    Attributes:
        seconds: time used, or None if the run ended before this song did.
        error: the error that stopped it, or empty.
        stem_faults: problems of its stems, one clause each.
        is_timed_out: whether it was stopped at the limit.
        is_as_published: whether the submission reports that nothing was left out.
        left_out: sentences of that report about work left out.
        done_share: share of the published work done according to that report, 0 … 1.
    """

    name: str
    duration_seconds: float
    seconds: float | None
    limit_seconds: float
    error: str = ""
    stem_faults: tuple[str, ...] = ()
    is_timed_out: bool = False
    is_as_published: bool = True
    left_out: tuple[str, ...] = ()
    done_share: float = 1.0

    @property
    def is_passed(self) -> bool:
        """Whether the grader would accept it."""
        ended = self.seconds is not None and self.seconds <= self.limit_seconds
        return ended and not self.error and not self.stem_faults


@dataclass(frozen=True, kw_only=True)
class RehearsalReport:
    """The result of a rehearsal.

    Attributes:
        conditions: environment and limits, one line each.
        setup_seconds: time for loading, or None if it did not end.
    """

    conditions: tuple[str, ...]
    setup_seconds: float | None
    songs: tuple[SongResult, ...]
    outcome: ConfinedRun
    peak_bytes: int
    machine: GraderMachine

    @property
    def is_passed(self) -> bool:
        """Whether every song ended in time with complete stems."""
        return self.outcome.returncode == 0 and all(song.is_passed for song in self.songs)
