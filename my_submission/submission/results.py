"""Results of a rehearsal: its measurements, and the submission's own account of each song."""

from __future__ import annotations

from dataclasses import dataclass

from my_submission.challenge.tracks import GraderMachine
from my_submission.submission.confinement import ConfinedRun


@dataclass(frozen=True, kw_only=True)
class SongResult:
    """One song of a rehearsal.

    Attributes:
        name: of its folder.
        duration_seconds: of the song.
        seconds: used; None when the run never got there.
        limit_seconds: allowed.
        error: message of the error that stopped it, for people; empty when it ended.
        stem_faults: faults of the stems, one sentence each.
        is_timed_out: whether it was stopped at the limit.
        is_as_published: whether nothing was left out, by the submission's own account.
        left_out: sentences of that account about what was left out, for people.
        done_share: share of the published work that was done, 0 … 1, by the same account.
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
        """Whether the grader would take it."""
        ended = self.seconds is not None and self.seconds <= self.limit_seconds
        return ended and not self.error and not self.stem_faults


@dataclass(frozen=True, kw_only=True)
class RehearsalReport:
    """What a rehearsal showed.

    Attributes:
        conditions: under what it ran, one line each.
        setup_seconds: for loading; None when it never ended.
        songs: in order.
        outcome: of the process.
        peak_bytes: the largest resident memory.
        machine: the grader's.
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
