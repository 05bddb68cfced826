"""Which unit comes next, and what a deadline will probably allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from my_submission.planning.joint_filter import JointFilterWork
from my_submission.planning.pace import Forecast
from my_submission.planning.segments import SegmentWork
from my_submission.planning.work import Unit, Work

AS_PUBLISHED = "everything as published"
CLOSED_FORM = "the mixture shared out equally"


@dataclass(frozen=True)
class PlannedPart:
    """A part as it was planned.

    Attributes:
        name: of the part.
        seconds: what all of it was expected to take.
        share: how much of it was expected to end in time, 0 … 1.
    """

    name: str
    seconds: float
    share: float


@dataclass(frozen=True)
class Plan:
    """What a deadline was expected to allow, before the work began.

    Attributes:
        rung: the step of the system's ladder, in words.
        parts: in the order of work, refinements last.
    """

    rung: str
    parts: tuple[PlannedPart, ...] = ()

    @property
    def seconds(self) -> float:
        """What was planned to be done was expected to take so long."""
        return sum(part.seconds * part.share for part in self.parts)


@dataclass
class Schedule:
    """The work for one song, in order.

    Attributes:
        works: what makes the answer, cheapest complete answer first.
        refinements: done only where nothing of ``works`` is left that would end in time.
        joint_filter: begun once there is no time for refinements any more, which it hides; its time is kept back.
        is_blocked: whether the part of a key cannot be run now.
    """

    works: Sequence[Work]
    refinements: Sequence[Work] = ()
    joint_filter: JointFilterWork | None = None
    is_blocked: Callable[[str], bool] = lambda key: False

    @property
    def published(self) -> tuple[Work, ...]:
        """All that makes the answer without refinements."""
        return (*self.works, *([self.joint_filter] if self.joint_filter else []))

    def next(self, forecast: Forecast, *, after: int = 0) -> Unit | None:
        """The unit to do now; None when everything is done or nothing more would end in time.

        Args:
            forecast: says what would end in time.
            after: the song's samples before this one must stay as they are.
        """
        if unit := self._first(self.works, forecast, after):
            return unit
        if self.joint_filter is None:
            return self._first(self.refinements, forecast, after)
        if self.joint_filter.covered_samples and (unit := self._first([self.joint_filter], forecast, after)):
            return unit
        kept = forecast.budget.reserving(self.joint_filter.seconds_to_keep(forecast, after=after))
        unit = self._first(self.refinements, Forecast(forecast.pace, kept), after)
        return unit or self._first([self.joint_filter], forecast, after)

    def _first(self, works: Sequence[Work], forecast: Forecast, after: int) -> Unit | None:
        ready = (work for work in works if not work.is_done and not self.is_blocked(work.key))
        return next((unit for work in ready if (unit := work.next(forecast, after=after)) is not None), None)

    def plan(self, forecast: Forecast) -> Plan:
        """What will probably be done in time."""
        parts: list[PlannedPart] = []
        rungs: list[str] = []
        spent = 0.0
        for work in (*self.published, *self.refinements):
            rest = Forecast(forecast.pace, forecast.budget.reserving(spent))
            seconds = rest.n_seconds(work.key, work.audio_seconds_left(rest))
            left = rest.budget.remaining()
            share = 1.0 if seconds <= left else max(0.0, left / seconds)
            parts.append(PlannedPart(work.name, seconds, round(share, 3)))
            spent += share * seconds
            if work not in self.refinements and (rung := _rung(work, share, rest)):
                rungs.append(rung)
        if parts and not any(part.share for part in parts):
            return Plan(CLOSED_FORM, tuple(parts))
        return Plan(", ".join(rungs) or AS_PUBLISHED, tuple(parts))


def _rung(work: Work, share: float, forecast: Forecast) -> str:
    """How a part departs from what was published; empty where it does not."""
    if isinstance(work, SegmentWork) and (overlap := work.overlap_in_time(forecast)) is not None:
        return "" if overlap == work.published_overlap else f"{work.name} at overlap {overlap:g}"
    if share == 1:
        return ""
    return f"{work.name} for {share:.0%} of the song" if share else f"no {work.name}"
