"""One song on its way: the plan, the units of work until time is up, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from my_submission.audio_io import Mixture
from my_submission.budget import Budget
from my_submission.events import Estimated, Event, Note, PartAdvanced, PartFinished, PartStarted, Planned
from my_submission.geometry import SAMPLE_RATE
from my_submission.planning import Forecast, MaskWork, Pace, Plan, Schedule, SegmentWork, Unit, Work
from my_submission.planning.coverage import FADE_SAMPLES
from my_submission.predictor.canvas import StemCanvas
from my_submission.predictor.parts import BranchParts, NewStore, PartsBuilder
from my_submission.predictor.report import NOT_SEPARATED, PartReport, is_separated
from my_submission.predictor.worker import OverrunError, Worker, is_abandoned
from my_submission.stems import Stems
from my_submission.systems import Assembly

logger = logging.getLogger(__name__)

FALLBACK_SHARE = 0.4
"""The fallback is run first only if it probably leaves this much of the time, or more, to the system itself."""


FINISH_MARGIN = 2.5
"""Nothing can be left out of the writing, and a machine that was quick at first has taken three times as long for the
rest of it; what was set aside in vain goes back to the work while blocks are written."""

SLOW_MARGIN = 1.25
"""So many times its likely cost are set aside for writing at least, however much the networks have raised it."""

HIGH_MARGIN = 1.2
"""What flushing to the disk took at its worst, it may take again and a little more."""

SPARE_SHARE = 0.015
"""Of the whole budget, left unused: work that was to end at the last moment has ended 0.1 % after it."""

LEAST_SPARE_SECONDS, MOST_SPARE_SHARE = 0.5, 0.04
"""Of short budgets more is left unused: what a busy machine does to the last write does not shrink with the budget. Of
8 s, a run has ended 0.2 s after it was to."""

CLOSING_SHARE = 0.2
"""Flushing files to the disk takes about this share of writing them, where it was never measured."""


@dataclass
class _Done:
    """What became of one part."""

    seconds: float = 0.0
    n_units: int = 0


@dataclass
class Finish:
    """What must come after the work: composing, resampling, writing, closing.

    Attributes:
        key: what its cost is known by.
        prior: seconds a second of audio where it is not known.
        least_seconds: what it takes however short the song is.
    """

    key: str
    prior: float
    least_seconds: float

    @property
    def closing_key(self) -> str:
        """What the cost of closing the files is known by."""
        return f"{self.key} closing"

    def reserve(self, pace: Pace, song_seconds: float, left_seconds: float) -> float:
        """Seconds to set aside.

        Args:
            pace: what work costs.
            song_seconds: length of the song.
            left_seconds: as much of it as is not written yet.
        """
        typical, high = pace.typical(self.key, prior=self.prior), pace.high(self.key, prior=self.prior)
        # A machine that is slow now may not be for long: what that adds is part of the margin.
        margin = max(FINISH_MARGIN / pace.expected_slowness(self.key), SLOW_MARGIN)
        # The slowest block seen says what a hiccup of the machine takes, not what every block will.
        hiccup = (high - typical) * min(left_seconds, StemCanvas.block_samples / SAMPLE_RATE)
        writing = margin * max(typical, pace.known(self.key)) * left_seconds + hiccup
        prior = CLOSING_SHARE * self.prior
        typical, high = pace.typical(self.closing_key, prior=prior), pace.high(self.closing_key, prior=prior)
        closing = max(FINISH_MARGIN * typical, HIGH_MARGIN * high)
        return writing + closing * song_seconds + self.least_seconds


@dataclass
class Song:
    """Everything about the song in hand; made per call, so that a predictor keeps nothing of a song.

    Attributes:
        assembly: the system.
        mixture: the song.
        budget: until the last byte is written.
        pace: what work costs.
        finish: what must come after the work.
        new_store: makes stores.
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
    _current: Work | None = field(default=None, init=False)
    _written: int = field(default=0, init=False)
    _worker: Worker | None = field(default=None, init=False)
    _overdue: Unit | None = field(default=None, init=False)
    _failed: set[str] = field(default_factory=set, init=False)
    _told: set[str] = field(default_factory=set, init=False)
    _schedule: Schedule = field(init=False)

    def __post_init__(self) -> None:
        self._told.update(self.assembly.remarks)
        builder = PartsBuilder(self.assembly, self.mixture, self.new_store, is_ranked=self.budget.is_limited)
        branches = builder.branches(self._forecast())
        fallback = self._fallback(builder, branches[0])
        works = [work for parts in ([fallback] if fallback else []) + branches for work in parts.works]
        refinements = [work for parts in branches for work in parts.refinements if work.total_samples]
        layers = [parts.blended for parts in branches]
        self.canvas = StemCanvas(
            self.assembly.recipe.sources, self.mixture, layers, fallback.blended if fallback else None
        )
        joint_filter = builder.joint_filter(self.canvas)
        self._schedule = Schedule(works, refinements if self.refines else (), joint_filter, self._is_blocked)
        self.plan = self._schedule.plan(self._forecast())

    @property
    def seconds(self) -> float:
        """Length of the song."""
        return self.mixture.samples / SAMPLE_RATE

    @property
    def is_as_published(self) -> bool:
        """Whether the stems are those that the system gives without a deadline, or better."""
        works = self._schedule.published
        is_reduced = any(_departure(work) for work in works)
        return all(work.covered_samples >= work.total_samples for work in works) and not is_reduced

    def __enter__(self) -> Self:
        if self.budget.is_limited:
            self._worker = Worker(self.budget.clock).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._worker.__exit__(kind, error, trace)

    def work(self) -> Iterator[Event]:
        """Do units until everything is done or it is time to write; to be called inside a with block."""
        yield Planned({part.name: part.seconds for part in self.plan.parts if part.share})
        for text in self.mixture.notes:
            yield Note(text)
        if self.budget.is_limited:
            yield Note(f"planned: {self.plan.rung}")
        yield from self._run()

    def blocks(self) -> Iterator[Stems | Event]:
        """The stems, block by block, and events of the work that still fits in between.

        Writing is the one thing that must not be late, so much time is set aside for it. As blocks are written, it
        turns out how much of that is not needed, and the part of the song that is not written yet gets it.
        """
        for start, stop in self.canvas.block_bounds():
            began = self.budget.elapsed()
            yield self.canvas.compose(start, stop)
            seconds = self.budget.elapsed() - began
            self.pace.observe(self.finish.key, (stop - start) / SAMPLE_RATE, seconds, is_network=False)
            self._written = stop
            if self.budget.is_limited and stop < self.mixture.samples:
                yield from self._run()
        yield from self._conclude()

    def part_reports(self) -> tuple[PartReport, ...]:
        """All parts of the system, and the refinements that were begun."""
        planned = {part.name: part for part in self.plan.parts}
        reports = []
        for work in (*self._schedule.published, *self._schedule.refinements):
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
        for work in self._schedule.published:
            done, whole = work.covered_samples / SAMPLE_RATE, work.total_samples / SAMPLE_RATE
            if work.covered_samples < work.total_samples:
                left.append(f"the deadline stopped {work.name} after {done:.1f} of {whole:.1f} s of the song")
            elif departure := _departure(work):
                left.append(f"the deadline {departure}")
        return tuple(left)

    def _forecast(self) -> Forecast:
        if not self.budget.is_limited:
            return Forecast(self.pace, self.budget)
        left = (self.mixture.samples - self._written) / SAMPLE_RATE
        writing = self.finish.reserve(self.pace, self.seconds, left)
        return Forecast(self.pace, self.budget.reserving(writing + spare_seconds(self.budget.seconds)))

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

    def _run(self) -> Iterator[Event]:
        after = self._written + FADE_SAMPLES if self._written else 0
        while self._is_free(after) and (unit := self._schedule.next(self._forecast(), after=after)) is not None:
            if unit.work is not self._current:
                if self._current is not None:
                    yield self._finished(self._current)
                self._current = unit.work
                yield PartStarted(unit.work.name, unit.work.total_samples)
            if not self._do(unit):
                self._overdue = unit
                return
            yield from self._news()
            yield PartAdvanced(unit.work.name, unit.work.covered_samples, unit.work.total_samples)

    def _news(self) -> Iterator[Event]:
        """What the engines found out in the last unit; reports have it from the assembly."""
        for remark in self.assembly.remarks:
            if remark not in self._told:
                self._told.add(remark)
                yield Note(remark)

    def _is_blocked(self, key: str) -> bool:
        return key in self._failed or is_abandoned(key)

    def _is_free(self, after: int, *, waits: bool = True) -> bool:
        """Whether no unit is overdue; one that comes back is used if it changes nothing before ``after``.

        Where units are short, any hiccup of the machine makes one overdue: it must not end the work.
        """
        if self._overdue is None or self._worker is None:
            return True
        unit = self._overdue
        try:
            late = self._worker.late(timeout_seconds=self._forecast().budget.remaining() if waits else 0.0)
        except Exception as error:  # whatever the engine raised: the song's stems are being written, and stay
            logger.exception("%s: failed after it had been left behind", unit.work.name)
            self.notes.append(f"{unit.work.name} failed while the song was written and was left out: {error}")
            self._failed.add(unit.work.key)
            self._overdue = None
            return True
        if late is None:
            return False
        self._overdue = None
        logger.info("%s: came back after %.2f s", unit.work.name, late.seconds)
        self.pace.observe(unit.work.key, unit.audio_seconds, late.seconds)
        if unit.first_sample is None or unit.first_sample >= after:
            unit.commit(late.result)
        else:
            unit.drop()
        return True

    def _do(self, unit: Unit) -> bool:
        """Do a unit and learn what it costs; false when it did not return in time."""
        began = self.budget.elapsed()
        if self._worker is None:
            result = unit.compute()
        else:
            left = self._forecast().budget.remaining()
            try:
                result = self._worker.run(unit.compute, key=unit.work.key, timeout_seconds=left)
            except OverrunError as error:
                logger.info("%s: %s", unit.work.name, error)
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
        if self._overdue is not None and not self._is_free(self.mixture.samples, waits=False):
            yield self._note(
                f"{self._overdue.work.name} had not returned at the deadline and was left behind: it hangs, or this "
                "machine became far slower than it was"
            )
        if self._current is not None:
            yield self._finished(self._current)
        for work in self._schedule.published:
            if work.name not in self._done:
                yield PartStarted(work.name, work.total_samples)
                yield self._finished(work)
        for text in self.left_out():
            yield self._note(text)
        estimated = Estimated(self.canvas.estimated_shares())
        yield estimated
        if not is_separated(estimated.shares):
            yield self._note(NOT_SEPARATED)

    def _finished(self, work: Work) -> PartFinished:
        seconds = self._done.get(work.name, _Done()).seconds
        return PartFinished(work.name, seconds, work.covered_samples, work.total_samples)

    def _note(self, text: str) -> Note:
        logger.info(text)
        self.notes.append(text)
        return Note(text)


def spare_seconds(budget_seconds: float) -> float:
    """How much of a budget is left unused."""
    return max(SPARE_SHARE * budget_seconds, min(LEAST_SPARE_SECONDS, MOST_SPARE_SHARE * budget_seconds))


def _departure(work: Work) -> str:
    return work.departure if isinstance(work, SegmentWork | MaskWork) else ""


def _seconds_of(parts: BranchParts, forecast: Forecast) -> float:
    return sum(forecast.n_seconds(work.key, work.audio_seconds_left(forecast)) for work in parts.works)
