"""One song on its way: the plan, the units of work until time is up, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from my_submission.audio_io import Mixture
from my_submission.budget import Budget
from my_submission.events import Event, Note, PartAdvanced, PartFinished, PartStarted
from my_submission.geometry import SAMPLE_RATE
from my_submission.planning import Forecast, Pace, Plan, Schedule, SegmentWork, Unit, Work
from my_submission.predictor.canvas import StemCanvas
from my_submission.predictor.parts import BranchParts, NewStore, PartsBuilder
from my_submission.predictor.report import PartReport
from my_submission.predictor.worker import OverrunError, Worker, is_abandoned
from my_submission.systems import Assembly

logger = logging.getLogger(__name__)

FALLBACK_SHARE = 0.4
"""The fallback is run first only if it probably leaves this much of the time, or more, to the system itself."""


FINISH_MARGIN = 1.3
"""Writing shares the machine with others, and nothing can be left out of it."""


@dataclass
class _Done:
    """What became of one part."""

    seconds: float = 0.0
    n_units: int = 0


@dataclass
class Finish:
    """What must come after the work: composing, resampling, writing.

    Attributes:
        key: what its cost is known by.
        prior: seconds a second of audio where it is not known.
        least_seconds: what it takes however short the song is.
    """

    key: str
    prior: float
    least_seconds: float

    def reserve(self, pace: Pace, song_seconds: float) -> float:
        """Seconds to set aside."""
        typical, high = pace.typical(self.key, prior=self.prior), pace.high(self.key, prior=self.prior)
        return max(FINISH_MARGIN * typical, high) * song_seconds + self.least_seconds


@dataclass
class Song:
    """Everything about the song in hand; made per call, so that a predictor keeps nothing of a song.

    Attributes:
        assembly: the system.
        mixture: the song.
        budget: until the last byte is written.
        pace: what work costs.
        finish: what must come after the work.
        new_store: makes stores of two channels.
        refines: whether time that is left over is spent on refinements.
        notes: what a reader of the report should know.
    """

    assembly: Assembly
    mixture: Mixture
    budget: Budget
    pace: Pace
    finish: Finish
    new_store: NewStore
    refines: bool
    notes: list[str] = field(default_factory=list)
    plan: Plan = field(init=False)
    canvas: StemCanvas = field(init=False)
    _done: dict[str, _Done] = field(default_factory=dict, init=False)
    _schedule: Schedule = field(init=False)

    def __post_init__(self) -> None:
        builder = PartsBuilder(self.assembly, self.mixture, self.new_store, is_ranked=self.budget.is_limited)
        branches = builder.branches(self._forecast())
        fallback = self._fallback(builder, branches[0])
        works = [work for parts in ([fallback] if fallback else []) + branches for work in parts.works]
        refinements = [work for parts in branches for work in parts.refinements if work.total_samples]
        self._schedule = Schedule(works, refinements if self.refines else (), is_abandoned)
        self.plan = self._schedule.plan(self._forecast())
        layers = [parts.blended for parts in branches]
        self.canvas = StemCanvas(
            self.assembly.recipe.sources, self.mixture, layers, fallback.blended if fallback else None
        )

    @property
    def seconds(self) -> float:
        """Length of the song."""
        return self.mixture.samples / SAMPLE_RATE

    @property
    def is_as_published(self) -> bool:
        """Whether the stems are those that the system gives without a deadline, or better."""
        works = self._schedule.works
        is_reduced = any(isinstance(work, SegmentWork) and not work.is_as_published for work in works)
        return all(work.covered_samples >= work.total_samples for work in works) and not is_reduced

    def work(self) -> Iterator[Event]:
        """Do units until everything is done or time is up."""
        if not self.budget.is_limited:
            yield from self._run(None)
        else:
            with Worker() as worker:
                yield from self._run(worker)
        yield from self._conclude()

    def part_reports(self) -> tuple[PartReport, ...]:
        """All parts of the system, and the refinements that were begun."""
        planned = {part.name: part for part in self.plan.parts}
        reports = []
        for work in (*self._schedule.works, *self._schedule.refinements):
            done = self._done.get(work.name, _Done())
            is_refinement = work in self._schedule.refinements
            if is_refinement and not done.n_units:
                continue
            reports.append(
                PartReport(
                    name=work.name,
                    seconds=done.seconds,
                    done_samples=work.covered_samples,
                    samples=work.total_samples,
                    runs_on=work.runs_on,
                    n_units=done.n_units,
                    planned_seconds=planned[work.name].seconds if self.budget.is_limited else None,
                    planned_share=planned[work.name].share,
                    is_refinement=is_refinement,
                )
            )
        return tuple(reports)

    def left_out(self) -> tuple[str, ...]:
        """What the deadline took away, a sentence each."""
        left = []
        for work in self._schedule.works:
            done, whole = work.covered_samples / SAMPLE_RATE, work.total_samples / SAMPLE_RATE
            if work.covered_samples < work.total_samples:
                left.append(f"the deadline stopped {work.name} after {done:.1f} of {whole:.1f} s of the song")
            elif isinstance(work, SegmentWork) and not work.is_as_published:
                left.append(f"the deadline left {work.name} a smaller overlap than the published one")
        return tuple(left)

    def _forecast(self) -> Forecast:
        reserved = self.finish.reserve(self.pace, self.seconds) if self.budget.is_limited else 0.0
        return Forecast(self.pace, self.budget.reserving(reserved))

    def _fallback(self, builder: PartsBuilder, first: BranchParts) -> BranchParts | None:
        """The fallback's parts, where the first branch would not end in time and the fallback costs little."""
        if not self.budget.is_limited:
            return None
        forecast = self._forecast()
        if forecast.has_time_for(_seconds_of(first, forecast)) or (branch := self.assembly.open_fallback()) is None:
            return None
        parts = builder.networks(branch, forecast)
        left = forecast.budget.remaining()
        return parts if _seconds_of(parts, forecast) <= (1 - FALLBACK_SHARE) * left else None

    def _run(self, worker: Worker | None) -> Iterator[Event]:
        current: Work | None = None
        while (unit := self._schedule.next(self._forecast())) is not None:
            if unit.work is not current:
                if current is not None:
                    yield self._finished(current)
                current = unit.work
                yield PartStarted(current.name, current.total_samples)
            if not self._do(unit, worker):
                yield self._note(
                    f"{current.name} had not returned at the deadline and was left behind: it hangs, or this machine "
                    "became far slower than it was"
                )
                break
            yield PartAdvanced(current.name, current.covered_samples, current.total_samples)
        if current is not None:
            yield self._finished(current)

    def _do(self, unit: Unit, worker: Worker | None) -> bool:
        """Do a unit and learn what it costs; false when it did not return in time."""
        began = self.budget.elapsed()
        if worker is None:
            result = unit.compute()
        else:
            try:
                left = self._forecast().budget.remaining()
                result = worker.run(unit.compute, key=unit.work.key, timeout_seconds=left)
            except OverrunError as error:
                logger.warning("%s: %s", unit.work.name, error)
                self._account(unit, began)
                return False
        unit.commit(result)
        self.pace.observe(unit.work.key, unit.audio_seconds, self._account(unit, began))
        return True

    def _account(self, unit: Unit, began: float) -> float:
        seconds = self.budget.elapsed() - began
        done = self._done.setdefault(unit.work.name, _Done())
        done.seconds += seconds
        done.n_units += 1
        return seconds

    def _conclude(self) -> Iterator[Event]:
        """Say what was not done."""
        for work in self._schedule.works:
            if work.name not in self._done:
                yield PartStarted(work.name, work.total_samples)
                yield self._finished(work)
        for text in self.left_out():
            yield self._note(text)

    def _finished(self, work: Work) -> PartFinished:
        seconds = self._done.get(work.name, _Done()).seconds
        return PartFinished(work.name, seconds, work.covered_samples, work.total_samples)

    def _note(self, text: str) -> Note:
        logger.info(text)
        self.notes.append(text)
        return Note(text)


def _seconds_of(parts: BranchParts, forecast: Forecast) -> float:
    return sum(forecast.n_seconds(work.key, work.audio_seconds_left(forecast)) for work in parts.works)
