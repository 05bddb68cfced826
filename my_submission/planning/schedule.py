"""The order of work on a song, and the plan of what a deadline will probably allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from my_submission.planning.cost_model import Forecast
from my_submission.planning.stage import ClosingStage, Stage, WorkItem
from my_submission.reports import AS_PUBLISHED

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
        refinements: begun only when no item of ``stages`` is left that would end in time.
        closing: in order, begun when there is no time for more refinements, whose effect they would hide; their time is
            reserved.
        is_blocked: whether a stage cannot run now.
    """

    stages: Sequence[Stage]
    refinements: Sequence[Stage] = ()
    closing: Sequence[ClosingStage] = ()
    is_blocked: Callable[[Stage], bool] = lambda stage: False

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
        if item := self._first(self.stages, forecast, after):
            return item
        has_begun = any(stage.covered_samples for stage in self.closing)
        if has_begun and (item := self._first(self.closing, forecast, after)):
            return item
        reserved = sum(stage.seconds_to_reserve(forecast, after=after) for stage in self.closing)
        item = self._first(self.refinements, Forecast(forecast.costs, forecast.budget.reserving(reserved)), after)
        return item or self._first(self.closing, forecast, after)

    def _first(self, stages: Sequence[Stage], forecast: Forecast, after: int) -> WorkItem | None:
        ready = (stage for stage in stages if not stage.is_done and not self.is_blocked(stage))
        return next((item for stage in ready if (item := stage.next_item(forecast, after=after)) is not None), None)

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
