"""Refinements take no time that the filter after them needs, on machines whose speed is not known yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from my_submission.blending import StemBlender
from my_submission.budget import Budget
from my_submission.events import Finished, StageAdvanced
from my_submission.geometry import FadeChunking, SpectralChunking, StftGeometry
from my_submission.mechanisms import MultichannelWienerFilter, SpectralMechanism, SpectralNetwork, WienerRecipe
from my_submission.mechanisms.wiener import WIENER_SECONDS_PER_SOURCE
from my_submission.planning import Calibration, ClosingStage, CostModel, Forecast, Schedule, Stage, WorkItem
from my_submission.predictor import Predictor
from my_submission.reports import SeparationReport
from my_submission.stems import MUSIC_SOURCES, Stems
from my_submission.systems import LoadedSystem
from tests.rigs import GAINS, HALVES, WHOLES, FakeClock, scaling, two_branches

RATE = 44_100
SECONDS = 14
STFT = StftGeometry(256, 64, 129)
CHUNKING = SpectralChunking(STFT, 1_400)
FILTER = WienerRecipe(HALVES, StftGeometry(512, 256, 257), FadeChunking(3 * RATE, RATE // 5))
NETWORK_COST = 0.12
"""Usual seconds of all four networks per second of song."""

FILTER_COST = WIENER_SECONDS_PER_SOURCE * len(MUSIC_SOURCES)
WRITING_COST = 0.005


@dataclass
class Machine:
    """A machine with a clock of its own.

    Attributes:
        slowness: duration of all work relative to the usual one.
        filter_slowness: of the filter beyond that.
        slower_after: seconds after which everything takes three times as long.
    """

    slowness: float
    filter_slowness: float = 1.0
    slower_after: float = np.inf
    clock: FakeClock = field(default_factory=FakeClock)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def work(self, seconds: float) -> None:
        """Let the time of some work pass, up to a quarter more or less than expected."""
        change = 3.0 if self.clock.now > self.slower_after else 1.0
        self.clock.pass_(seconds * self.slowness * change * self.rng.uniform(0.75, 1.25))

    @property
    def full_seconds(self) -> float:
        """Expected duration of everything as published."""
        return self.slowness * SECONDS * (NETWORK_COST + self.filter_slowness * FILTER_COST + WRITING_COST)

    def system(self) -> LoadedSystem:
        """Four networks of the usual cost, and a filter after them."""
        per_chunk = NETWORK_COST * SECONDS / (4 * CHUNKING.count(SECONDS * RATE))
        networks = SpectralMechanism(
            tuple(
                SpectralNetwork(source, scaling(gain, lambda _: self.work(per_chunk)), CHUNKING)
                for source, gain in GAINS.items()
            )
        )
        whole = two_branches()
        recipe = replace(whole.recipe, branches=(replace(whole.recipe.branches[0], shares=WHOLES),), wiener=FILTER)
        branch = replace(whole.branches[0], mechanism=networks, shares=WHOLES, processor_seconds=NETWORK_COST)
        return replace(whole, recipe=recipe, branches=(branch,))


Separate = Callable[[Machine, float], tuple[SeparationReport, list[str]]]


@pytest.fixture
def separate(monkeypatch: pytest.MonkeyPatch) -> Separate:
    """Separates a song with a budget; returns the report, and the stages of the work before the first block."""
    song = (0.2 * np.random.default_rng(0).standard_normal((2, SECONDS * RATE))).astype(np.float32)

    def run(machine: Machine, budget_seconds: float) -> tuple[SeparationReport, list[str]]:
        compose, written = StemBlender.compose, []

        def composed(self: StemBlender, start: int, stop: int) -> Stems:
            machine.work(WRITING_COST * (stop - start) / RATE)
            written.append(start)
            return compose(self, start, stop)

        def filtered(self: MultichannelWienerFilter, estimates: np.ndarray, mixture: np.ndarray) -> np.ndarray:
            machine.work(machine.filter_slowness * FILTER_COST * mixture.shape[-1] / RATE)
            return estimates[..., self.context_samples : -self.context_samples]

        with monkeypatch.context() as patched:
            patched.setattr(StemBlender, "compose", composed)
            patched.setattr(MultichannelWienerFilter, "filter", filtered)
            before = []
            for event in Predictor(machine.system(), clock=machine.clock).stream(song, budget_seconds=budget_seconds):
                if isinstance(event, StageAdvanced) and not written:
                    before.append(event.part)
                if isinstance(event, Finished):
                    report = event.report
        return report, before

    return run


@pytest.mark.parametrize("slowness", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("filter_slowness", [0.5, 1.0, 6.0])
def test_a_refinement_begins_only_where_the_filter_ends_too(
    slowness: float, filter_slowness: float, separate: Separate
) -> None:
    """With no earlier run, filters up to six times as slow as assumed, and each item up to a quarter slower or faster.

    Time that becomes free while the song is written may go to refinements where the filter can no longer run.
    """
    is_refined = []
    for share in (0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 2.5):
        machine = Machine(slowness, filter_slowness)
        budget = share * machine.full_seconds
        report, before = separate(machine, budget)
        assert machine.clock.now <= budget
        is_refined.append(any(part.endswith("overlapped") for part in before))
        if is_refined[-1] or share >= 1.4:
            assert report.is_as_published, f"{share} of the full time"
    assert is_refined[-1]


@pytest.mark.parametrize("share", [1.3, 1.6, 2.0])
@pytest.mark.parametrize("change", [0.5, 0.8, 1.0])
def test_a_machine_that_slows_down_amid_the_refinements_is_in_time(
    change: float, share: float, separate: Separate
) -> None:
    """Three times as slow from some moment on: the filter may then not end, although refinements were done before."""
    machine = Machine(1.0)
    budget = share * machine.full_seconds
    machine.slower_after = change * machine.full_seconds
    report, _ = separate(machine, budget)
    assert machine.clock.now <= budget
    assert report.is_as_published == (report.left_out == ())


class _OneItem(Stage):
    """One item of a second of audio, as long as ``budget_needed`` seconds are left."""

    def __init__(self, name: str, budget_needed: float) -> None:
        super().__init__(name, name, "nothing", 1)
        self.budget_needed = budget_needed
        self.covered = 0

    @property
    def covered_samples(self) -> int:
        return self.covered

    @property
    def is_done(self) -> bool:
        return self.is_covered

    def audio_seconds_left(self, forecast: Forecast) -> float:
        return 1.0 - self.covered

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        if forecast.budget.remaining() < self.budget_needed:
            return None
        return WorkItem(self, 1.0, lambda: None, lambda _: setattr(self, "covered", 1), 0)


class _OneFilter(_OneItem, ClosingStage):
    """A filter of one item, for which ``budget_needed`` seconds are reserved."""

    def probe(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        return None

    def seconds_to_reserve(self, forecast: Forecast, *, after: int = 0) -> float:
        return 0.0 if self.is_done else self.budget_needed


def _order(schedule: Schedule, *budgets: float) -> list[str | None]:
    """Names of the stages that are chosen and done with these seconds left, one after the other."""
    names: list[str | None] = []
    for seconds in budgets:
        item = schedule.next_item(Forecast(CostModel(Calibration()), Budget(seconds, FakeClock())))
        names.append(None if item is None else item.stage.name)
        if item is not None:
            item.commit(item.compute())
    return names


def test_the_filter_comes_next_once_a_refinement_was_refused() -> None:
    """3 s for a refinement and 2 s for the filter: below 5 s the filter has priority, also if time is freed later."""

    def schedule() -> Schedule:
        return Schedule([_OneItem("network", 1.0)], [_OneItem("refinement", 3.0)], [_OneFilter("filter", 2.0)])

    assert _order(schedule(), 9.0, 5.0, 2.0) == ["network", "refinement", "filter"]
    assert _order(schedule(), 9.0, 4.9, 3.0) == ["network", "filter", "refinement"]
    assert _order(schedule(), 9.0, 1.9, 9.0, 9.0) == ["network", None, "filter", "refinement"]
