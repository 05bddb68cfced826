"""What a rehearsal measured, and what the submission itself says about a song."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        error: what stopped it; empty when it ended.
        stem_faults: what is wrong with the stems.
        left_out: what the submission says it left out for want of time.
        done_share: share of its work that the submission says was done.
    """

    name: str
    duration_seconds: float
    seconds: float | None
    limit_seconds: float
    error: str = ""
    stem_faults: tuple[str, ...] = ()
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


def left_out(told: dict[str, Any] | None) -> tuple[str, ...]:
    """What the submission's own report says was left out; nothing where it writes none."""
    if told is None or told.get("is_as_published", told.get("complete", True)):
        return ()
    named = told.get("left_out") or [part["name"] for part in told.get("parts", ()) if not part["complete"]]
    return tuple(named)


def done_share(told: dict[str, Any] | None) -> float:
    """Share of the published work that was done, by the submission's own account."""
    parts = [part for part in (told or {}).get("parts", ()) if not part.get("is_refinement")]
    if not left_out(told) or not parts:
        return 1.0
    return sum(_part_share(part) for part in parts) / len(parts)


def _part_share(part: dict[str, Any]) -> float:
    if part.get("samples"):
        return float(min(1.0, part["done_samples"] / part["samples"]))
    return 1.0 if part["complete"] else 0.0
