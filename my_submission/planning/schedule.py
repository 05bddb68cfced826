"""The order of work on a song, and the plan of what a deadline will probably allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from my_submission.planning.cost_model import Forecast
from my_submission.planning.stage import ClosingStage, Stage, WorkItem
from my_submission.reports import AS_PUBLISHED

_StageT = TypeVar("_StageT", bound=Stage)

EQUAL_SHARES = "equal shares of the mixture"


@dataclass(frozen=True)
class PlannedStage:
    """A stage as it was planned.

    Attributes:
        name: name of the stage.
        seconds: expected duration of the whole stage.
        share: part of it that was expected to end in time, 0 … 1.
    """

    name: str
    seconds: float
    share: float


@dataclass(frozen=True)
class Plan:
    """Work that the deadline was expected to allow before it began.

    Attributes:
        quality_level: deviations from the published method, for display.
        stages: stages in the order of work, refinements last.
    """

    quality_level: str
    stages: tuple[PlannedStage, ...] = ()

    @property
    def seconds(self) -> float:
        """Expected duration of all planned work."""
        return sum(stage.seconds * stage.share for stage in self.stages)


@dataclass
class Schedule:
    """The work on one song, in order.

    Attributes:
        stages: stages of the result, the cheapest complete result first.
        refinements: begun only when no item of ``stages`` is left that would end in time, and only in the time that
            the closing stages leave by their pessimistic cost.
        closing: in order, begun when there is no time for more refinements.
        is_blocked: whether a stage cannot run now.
    """

    stages: Sequence[Stage]
    refinements: Sequence[Stage] = ()
    closing: Sequence[ClosingStage] = ()
    is_blocked: Callable[[Stage], bool] = lambda stage: False
    _is_closing: bool = field(default=False, init=False)

    @property
    def published(self) -> tuple[Stage, ...]:
        """All stages of the result, without refinements."""
        return (*self.stages, *self.closing)

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """Return the work item to do now; None if all work is done or no item would end in time.

        Args:
            forecast: predicts whether work would end in time.
            after: samples of the song before this one must not change.
        """
        if item := self._first(self.stages, forecast, after) or self._closing_probe(forecast, after):
            return item
        # A closing stage hides what changes after it, so refinements come before it. Once one was refused, the closing
        # stages come first: time that becomes free while the song is written must not go to a refinement instead.
        if not self._is_closing and (item := self._refinement(forecast, after)):
            return item
        self._is_closing = True
        return self._first(self.closing, forecast, after) or self._refinement(forecast, after)

    def _first(self, stages: Sequence[Stage], forecast: Forecast, after: int) -> WorkItem | None:
        """Return the first item of some stages that would end in time."""
        items = (stage.next_item(forecast, after=after) for stage in self._unfinished(stages))
        return next((item for item in items if item is not None), None)

    def _closing_probe(self, forecast: Forecast, after: int) -> WorkItem | None:
        """Return an item that measures a closing stage, so that its reserve is not a guess."""
        probes = (stage.probe(forecast, after=after) for stage in self._unfinished(self.closing))
        return next((probe for probe in probes if probe is not None), None)

    def _refinement(self, forecast: Forecast, after: int) -> WorkItem | None:
        """Return the first refinement that would end before the time reserved for the closing stages."""
        reserved = sum(stage.seconds_to_reserve(forecast, after=after) for stage in self.closing)
        before_closing = Forecast(forecast.costs, forecast.budget.reserving(reserved))
        return self._first(self.refinements, before_closing, after)

    def _unfinished(self, stages: Sequence[_StageT]) -> Iterator[_StageT]:
        """Yield the stages that can run now and have work left."""
        return (stage for stage in stages if not stage.is_done and not self.is_blocked(stage))

    def plan(self, forecast: Forecast) -> Plan:
        """Return the work that will probably end in time."""
        planned: list[PlannedStage] = []
        deviations: list[str] = []
        spent = 0.0
        for stage in (*self.published, *self.refinements):
            rest = Forecast(forecast.costs, forecast.budget.reserving(spent))
            seconds = rest.n_seconds(stage.cost_key, stage.audio_seconds_left(rest))
            left = rest.budget.remaining()
            share = 1.0 if seconds <= left else max(0.0, left / seconds)
            planned.append(PlannedStage(stage.name, seconds, round(share, 3)))
            spent += share * seconds
            if stage not in self.refinements and (deviation := stage.planned_deviation(share, rest)):
                deviations.append(deviation)
        if planned and not any(stage.share for stage in planned):
            return Plan(EQUAL_SHARES, tuple(planned))
        return Plan(", ".join(deviations) or AS_PUBLISHED, tuple(planned))
