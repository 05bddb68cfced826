"""The separation of one song: its plan, the work items until time is up, and their outcome."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from my_submission.audio_io import Mixture
from my_submission.blending import BlendedBuffer, StemBlender
from my_submission.budget import Budget
from my_submission.events import Event, Note, Planned, StageAdvanced, StageFinished, StageStarted
from my_submission.geometry import SAMPLE_RATE
from my_submission.mechanisms import NewStore, SongContext, SongStages
from my_submission.planning import CostModel, EstimateBuffer, Forecast, Plan, Schedule, Stage, StreamingOrder, WorkItem
from my_submission.planning.coverage import FADE_SAMPLES
from my_submission.planning.energy import EnergyProfile
from my_submission.predictor.worker import LateResult, OverrunError, Worker, is_abandoned
from my_submission.predictor.write_cost import WriteCost, spare_seconds
from my_submission.reports import NOT_SEPARATED, StageReport
from my_submission.stems import Stems
from my_submission.systems import Branch, LoadedSystem, SystemWork
from my_submission.systems.usual_costs import assume_costs

logger = logging.getLogger(__name__)

FALLBACK_SHARE = 0.4
"""The fallback runs first only if it probably leaves at least this share of the time to the system itself."""


_NOT_MEASURED = "because the speed of this system on this machine is not measured yet"

ASSUMED = f"; a guess, {_NOT_MEASURED}"
"""Added to a plan that takes the usual cost of some stage. It is revised after the first work items."""

CAUTIOUS = f"; a cautious plan, {_NOT_MEASURED}"
"""Added to a plan in which some stage has no usual cost and counts as real time. It is revised likewise."""


@dataclass
class _Spent:
    """Time and engine runs spent on one stage."""

    seconds: float = 0.0
    n_units: int = 0


@dataclass
class SongSeparation:
    """State of the separation of one song; made per call, so that a predictor keeps no per-song state.

    Attributes:
        system: the system.
        mixture: the song.
        budget: time until the last byte is written.
        costs: seconds of work per second of audio.
        write_cost: cost of what comes after the work.
        new_store: makes stores.
        refines: whether time that is left over is spent on refinements.
        prefers_streaming: whether to go through the song from start to end, so that its first blocks are finished
            early. This is done only by a streamable system without a deadline and without refinements.
        n_threads: threads of the networks on the CPU; None on a GPU, whose usual costs are not known.
        notes: remarks for the reader of the report.
    """

    system: LoadedSystem
    mixture: Mixture
    budget: Budget
    costs: CostModel
    write_cost: WriteCost
    new_store: NewStore
    refines: bool
    prefers_streaming: bool = False
    n_threads: int | None = None
    notes: list[str] = field(default_factory=list)
    plan: Plan = field(init=False)
    blender: StemBlender = field(init=False)
    _spent: dict[Stage, _Spent] = field(default_factory=dict, init=False)
    _work: SystemWork = field(init=False)
    _current: Stage | None = field(default=None, init=False)
    _written: int = field(default=0, init=False)
    _worker: Worker | None = field(default=None, init=False)
    _overdue: WorkItem | None = field(default=None, init=False)
    _failed: set[str] = field(default_factory=set, init=False)
    _noted_remarks: set[str] = field(default_factory=set, init=False)
    _schedule: Schedule = field(init=False)
    _streaming_order: StreamingOrder | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._noted_remarks.update(self.system.remarks)
        self._energy = EnergyProfile.of(self.mixture.store) if self.budget.is_limited else None
        work = self._work = SystemWork(self.system, self.mixture, self._context)
        for branch, branch_stages in zip(self.system.branches, work.branches, strict=True):
            self._assume_costs(branch, branch_stages)
        fallback = self._fallback(work.branches[: self.system.n_first_branches])
        stages = (*(fallback[0].stages if fallback else ()), *work.stages)
        self.blender = work.blender(None if fallback is None else BlendedBuffer(fallback[0].buffer, fallback[1]))
        closing = work.closing(self.blender)
        self._schedule = Schedule(stages, work.refinements if self.refines else (), closing, self._is_blocked)
        self.plan = self._schedule.plan(self._forecast())
        if self.prefers_streaming and self.system.is_streamable and not self.budget.is_limited and not self.refines:
            self._streaming_order = StreamingOrder(self._schedule.published, work.reads(closing), self.mixture.samples)

    @property
    def seconds(self) -> float:
        """Length of the song."""
        return self.mixture.samples / SAMPLE_RATE

    @property
    def is_as_published(self) -> bool:
        """Whether the stems are those that the system gives without a deadline, or refined beyond."""
        return all(stage.is_covered and stage.is_as_published for stage in self._schedule.published)

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
        """Run work items until everything is done or it is time to write; to be called inside a with block.

        Work from start to end runs nothing here: every block is computed when it is due.
        """
        parts = {stage.name: stage.seconds for stage in self.plan.stages if stage.share}
        yield Planned(parts, self.write_cost.expected_seconds(self.costs, self.seconds))
        for text in self.mixture.notes:
            yield Note(text)
        if self.budget.is_limited:
            yield Note(f"planned: {self.plan.quality_level}{self._basis}")
        if self._streaming_order is None:
            yield from self._run()

    def blocks(self) -> Iterator[Stems | Event]:
        """Yield the stems, block by block, and events of the work that still fits in between.

        Writing must not be late, so a generous amount of time is set aside for it. While blocks are written, unused
        time goes to the part of the song that is not written yet.
        """
        for start, stop in self.blender.block_bounds():
            if self._streaming_order is not None:
                yield from self._run_streaming(self._streaming_order, stop)
            began = self.budget.elapsed()
            yield self.blender.compose(start, stop)
            seconds = self.budget.elapsed() - began
            self.costs.observe(self.write_cost.key, (stop - start) / SAMPLE_RATE, seconds, is_network=False)
            self._written = stop
            if self.budget.is_limited and stop < self.mixture.samples:
                yield from self._run()
        yield from self._conclude()

    def stage_reports(self) -> tuple[StageReport, ...]:
        """Return the stages of the system, and the refinements that were begun."""
        stages = (*self._schedule.published, *self._schedule.refinements)
        reports = []
        for stage, planned in zip(stages, self.plan.stages, strict=True):
            spent = self._spent.get(stage, _Spent())
            is_refinement = stage in self._schedule.refinements
            if is_refinement and not spent.n_units:
                continue
            reports.append(
                StageReport(
                    name=stage.name,
                    seconds=spent.seconds,
                    done_samples=stage.covered_samples,
                    samples=stage.total_samples,
                    runs_on=stage.runs_on,
                    n_units=spent.n_units,
                    planned_seconds=planned.seconds if self.budget.is_limited else None,
                    planned_share=planned.share,
                    is_refinement=is_refinement,
                )
            )
        return tuple(reports)

    def left_out(self) -> tuple[str, ...]:
        """Return the work that was left out because of the deadline, one sentence each, for display."""
        left = []
        for stage in self._schedule.published:
            done, whole = stage.covered_samples / SAMPLE_RATE, stage.total_samples / SAMPLE_RATE
            if not stage.is_covered:
                left.append(f"the deadline stopped {stage.name} after {done:.1f} of {whole:.1f} s of the song")
            elif not stage.is_as_published:
                left.append(f"the deadline {stage.deviation}")
        return tuple(left)

    @property
    def _basis(self) -> str:
        """Remark on the costs that the plan follows from; empty if all of them were measured."""
        unmeasured = [stage.cost_key for stage in self._schedule.published if not self.costs.knows(stage.cost_key)]
        if not unmeasured:
            return ""
        return ASSUMED if all(map(self.costs.has_assumed, unmeasured)) else CAUTIOUS

    def _forecast(self) -> Forecast:
        if not self.budget.is_limited:
            return Forecast(self.costs, self.budget)
        left = (self.mixture.samples - self._written) / SAMPLE_RATE
        writing = self.write_cost.reserve(self.costs, self.seconds, left, self.budget.seconds)
        return Forecast(self.costs, self.budget.reserving(writing + spare_seconds(self.budget.seconds)))

    def _context(
        self, name: str, mixture: Mixture, shares: Mapping[str, float], earlier: Sequence[EstimateBuffer] = ()
    ) -> SongContext:
        return SongContext(
            name=name,
            mixture=mixture,
            new_store=self.new_store,
            forecast=self._forecast(),
            has_deadline=self.budget.is_limited,
            shares=shares,
            energy=self._energy,
            earlier=tuple(earlier),
            system=self.system.recipe.name,
            fingerprint=self.system.fingerprint,
        )

    def _fallback(self, first: Sequence[SongStages]) -> tuple[SongStages, Mapping[str, float]] | None:
        """Return the fallback's stages and shares; None unless the system would be late and it is cheap."""
        if not self.budget.is_limited:
            return None
        forecast = self._forecast()
        if (
            forecast.has_time_for(_seconds_of(*first, forecast=forecast))
            or (branch := self.system.open_fallback()) is None
        ):
            return None
        stages = branch.mechanism.stages(self._context(branch.name, self.mixture, branch.shares))
        self._assume_costs(branch, stages)
        left = forecast.budget.remaining()
        if _seconds_of(stages, forecast=forecast) > (1 - FALLBACK_SHARE) * left:
            return None
        return self._work.named(stages, branch.name), branch.shares

    def _assume_costs(self, branch: Branch, stages: SongStages) -> None:
        """Set the usual costs of a branch's stages, which count until they are measured on this machine."""
        if self.n_threads is not None:
            cost = branch.processor_seconds
            assume_costs(
                stages, self.costs, processor_seconds=cost, song_seconds=self.seconds, n_threads=self.n_threads
            )

    def _run(self) -> Iterator[Event]:
        after = self._written + FADE_SAMPLES if self._written else 0
        if not self._has_returned(after, timeout_seconds=self._forecast().budget.remaining()):
            return
        while (item := self._schedule.next_item(self._forecast(), after=after)) is not None:
            if item.stage is not self._current:
                if self._current is not None:
                    yield self._finished(self._current)
                self._current = item.stage
                yield StageStarted(item.stage.name, item.stage.total_samples)
            if not self._do(item):
                self._overdue = item
                return
            yield from self._news()
            yield StageAdvanced(item.stage.name, item.stage.covered_samples, item.stage.total_samples)

    def _run_streaming(self, order: StreamingOrder, stop: int) -> Iterator[Event]:
        """Run work items until the stems before a sample are final."""
        while order.finished_samples < stop:
            stage = (item := order.next_item(self._forecast())).stage
            if stage not in self._spent:
                yield StageStarted(stage.name, stage.total_samples)
            self._do(item)
            yield from self._news()
            yield StageAdvanced(stage.name, stage.covered_samples, stage.total_samples)
            if stage.is_done:
                yield self._finished(stage)

    def _news(self) -> Iterator[Event]:
        """Yield the engines' new remarks as notes; reports take them from the system."""
        for remark in self.system.remarks:
            if remark not in self._noted_remarks:
                self._noted_remarks.add(remark)
                yield Note(remark)

    def _is_blocked(self, stage: Stage) -> bool:
        """Whether a stage cannot run now, because its engine has failed or hangs."""
        return stage.cost_key in self._failed or is_abandoned(stage.cost_key)

    def _has_returned(self, after: int, *, timeout_seconds: float) -> bool:
        """Wait for the overdue item, if there is one; return False if it has not returned in time.

        Its result is used if it changes nothing before ``after``: a brief stall of the machine can make a short item
        overdue, and must not end the work. If it has failed, its stage is left out.
        """
        if self._overdue is None or self._worker is None:
            return True
        try:
            late = self._worker.late_result(timeout_seconds=timeout_seconds)
        except Exception as error:  # any error of an engine: the stems are being written and must stay
            self._leave_out_failed(self._overdue.stage, error)
        else:
            if late is None:
                return False
            self._use_or_drop(self._overdue, late, after)
        self._overdue = None
        return True

    def _leave_out_failed(self, stage: Stage, error: Exception) -> None:
        """Block a stage whose overdue item has failed, and note that."""
        logger.error("%s: failed after it had been abandoned", stage.name, exc_info=error)
        self.notes.append(f"{stage.name} failed while the song was written and was left out: {error}")
        self._failed.add(stage.cost_key)

    def _use_or_drop(self, item: WorkItem, late: LateResult, after: int) -> None:
        """Record the cost of an overdue item, and use its result unless it changes samples before ``after``."""
        logger.info("%s: returned late, after %.2f s", item.stage.name, late.seconds)
        self.costs.observe(item.stage.cost_key, item.audio_seconds, late.seconds)
        if item.first_sample is None or item.first_sample >= after:
            item.commit(late.result)
        else:
            item.drop()

    def _do(self, item: WorkItem) -> bool:
        """Run an item and record its cost; return False if it did not return in time."""
        began = self.budget.elapsed()
        if self._worker is None:
            result = item.compute()
        else:
            left = self._forecast().budget.remaining()
            try:
                result = self._worker.run(item.compute, key=item.stage.cost_key, timeout_seconds=left)
            except OverrunError as error:
                logger.info("%s: %s", item.stage.name, error)
                self._account(item, began)
                return False
        item.commit(result)
        self.costs.observe(item.stage.cost_key, item.audio_seconds, self._account(item, began))
        return True

    def _account(self, item: WorkItem, began: float) -> float:
        seconds = self.budget.elapsed() - began
        spent = self._spent.setdefault(item.stage, _Spent())
        spent.seconds += seconds
        spent.n_units += 1
        return seconds

    def _conclude(self) -> Iterator[Event]:
        """Yield the end of every stage, and notes on what was left out."""
        if self._overdue is not None and not self._has_returned(self.mixture.samples, timeout_seconds=0.0):
            yield self._note(
                f"{self._overdue.stage.name} had not returned at the deadline and was abandoned: it hangs, or this "
                "machine became far slower than it was"
            )
        if self._current is not None:
            yield self._finished(self._current)
        for stage in self._schedule.published:
            if stage not in self._spent:
                yield StageStarted(stage.name, stage.total_samples)
                yield self._finished(stage)
        for text in self.left_out():
            yield self._note(text)
        if not any(self.blender.estimated_shares().values()):
            yield self._note(NOT_SEPARATED)

    def _finished(self, stage: Stage) -> StageFinished:
        seconds = self._spent.get(stage, _Spent()).seconds
        branch = self._work.branch_of.get(stage, "")
        return StageFinished(stage.name, seconds, stage.covered_samples, stage.total_samples, branch)

    def _note(self, text: str) -> Note:
        logger.info(text)
        self.notes.append(text)
        return Note(text)


def _seconds_of(*branches: SongStages, forecast: Forecast) -> float:
    stages = [stage for branch in branches for stage in branch.stages]
    return sum(forecast.n_seconds(stage.cost_key, stage.audio_seconds_left(forecast)) for stage in stages)
