"""Deadlines with an injected clock and noisy durations: never late, little wasted, complete, better with more time."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from my_submission.blending import StemBlender
from my_submission.engines.fake_engine import FakeEngine
from my_submission.events import Finished, Note
from my_submission.planning import Calibration
from my_submission.predictor import Predictor, worker
from my_submission.predictor.worker import LateResult, Worker, is_abandoned
from my_submission.stems import MUSIC_SOURCES, Stems
from my_submission.systems import LoadedSystem
from tests.rigs import CHUNKING, GAINS, SEGMENTS, WAVEFORM_GAINS, FakeClock, scaling, two_branches, waveform_engine

SAMPLES = 150_000
SHARES = (0.25, 0.5, 0.75, 1.0, 1.5, 3.0)
CHUNK_SECONDS, SEGMENT_SECONDS = 0.7, 2.0


def song(samples: int = SAMPLES) -> np.ndarray:
    """Noise that is loud here and quiet there."""
    loudness = np.interp(np.arange(samples), np.linspace(0, samples, 7), [0.1, 0.5, 0.02, 0.3, 0.6, 0.05, 0.2])
    return (loudness * np.random.default_rng(0).standard_normal((2, samples))).astype(np.float32)


def noisy(clock: FakeClock, seed: int) -> LoadedSystem:
    """The two-branch system whose runs take up to a quarter more or less than usual."""
    rng = np.random.default_rng(seed)
    engines = {
        source: scaling(gain, lambda _: clock.pass_(CHUNK_SECONDS * rng.uniform(0.75, 1.25)))
        for source, gain in GAINS.items()
    }
    segment_engine = waveform_engine(
        lambda samples: clock.pass_(SEGMENT_SECONDS * samples / SEGMENTS.segment_samples * rng.uniform(0.75, 1.25))
    )
    return two_branches(engines=engines, segment_engine=segment_engine)


def full_seconds() -> float:
    """What everything as published takes on average."""
    return 4 * CHUNKING.count(SAMPLES) * CHUNK_SECONDS + len(SEGMENTS.offsets(SAMPLES)) * SEGMENT_SECONDS


def error_db(stems: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> float:
    """Error against the full plan, mean over sources, not below −60 dB where rounding begins."""
    ratios = [np.sum((stems[s] - reference[s]) ** 2) / np.sum(reference[s] ** 2) for s in MUSIC_SOURCES]
    return float(np.mean([max(-60.0, 10 * np.log10(ratio + 1e-30)) for ratio in ratios]))


@pytest.mark.parametrize("seed", range(3))
def test_no_deadline_is_missed_nor_much_time_wasted_and_more_is_better(seed: int) -> None:
    mixture = song()
    reference = Predictor(two_branches()).separate(mixture)
    calibration = Calibration()
    Predictor(noisy(warm := FakeClock(), 99), clock=warm, calibration=calibration).separate(mixture)
    errors = []
    for share in SHARES:
        clock = FakeClock()
        budget = share * full_seconds()
        predictor = Predictor(noisy(clock, seed), clock=clock, calibration=calibration)
        events = list(predictor.stream(mixture, budget_seconds=budget))
        stems = events[-1].result if isinstance(events[-1], Finished) else {}
        assert clock.now <= budget, f"late at {share}"
        n_all = 2 * full_seconds() + len(SEGMENTS.offsets(SAMPLES)) * SEGMENT_SECONDS  # every refinement too
        assert clock.now >= 0.85 * min(budget, 0.75 * n_all), f"early at {share}"
        for source in MUSIC_SOURCES:
            assert stems[source].shape == mixture.shape
            assert (np.abs(stems[source][np.abs(mixture) > 0.05]) > 0).all(), f"{source} has a gap"
        errors.append(error_db(stems, reference))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == -60


@pytest.mark.parametrize("share", SHARES)
def test_no_step_where_one_way_of_estimating_passes_into_another(share: float) -> None:
    """A constant mixture gives stems whose neighbouring samples differ by no more than a ramp's slope."""
    clock = FakeClock()
    predictor = Predictor(noisy(clock, 5), clock=clock)
    stems = predictor.separate(np.ones((2, SAMPLES), np.float32), budget_seconds=share * full_seconds())
    ramp = min(CHUNKING.kept_samples // 4, SEGMENTS.segment_samples // 20)
    for source in MUSIC_SOURCES:
        assert np.abs(np.diff(stems[source])).max() <= 2.0 / ramp, source


@pytest.mark.parametrize("factor", [0.4, 0.6, 1.4, 1.8])
@pytest.mark.parametrize("share", SHARES)
def test_a_machine_that_is_faster_or_slower_than_it_was(
    share: float, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing included: what was set aside for it and is not needed is spent, and what it lacks is taken back.

    Of a quarter of the time, most is set aside, and what comes free is needed for the rest of the song only. Two runs
    came before, because a single one is not believed beyond a share of the budget.
    """
    monkeypatch.setattr(StemBlender, "block_samples", SAMPLES // 30)
    calibration, compose = Calibration(), StemBlender.compose
    now, speed = FakeClock(), 1.0

    def written(self: StemBlender, start: int, stop: int) -> Stems:
        now.pass_(speed * 0.1 * full_seconds() * (stop - start) / SAMPLES)
        return compose(self, start, stop)

    monkeypatch.setattr(StemBlender, "compose", written)
    costs = {"chunk_seconds": CHUNK_SECONDS, "segment_seconds": SEGMENT_SECONDS}
    for _ in range(2):
        now.now = 0.0
        Predictor(two_branches(clock=now, **costs), clock=now, calibration=calibration).separate(song())
    full, now, speed = now.now, FakeClock(), factor
    costs = {name: factor * seconds for name, seconds in costs.items()}
    predictor = Predictor(two_branches(clock=now, **costs), clock=now, calibration=calibration)
    predictor.separate(song(), budget_seconds=share * full)
    assert now.now <= share * full
    n_all = factor * 2 * full
    assert now.now >= 0.85 * min(share * full, 0.9 * n_all)


def test_what_is_slow_for_a_moment_does_not_begin_the_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block took thirty times as long in the run before, the first chunks ten times: there is time for everything."""
    monkeypatch.setattr(StemBlender, "block_samples", SAMPLES // 30)
    calibration, compose, clock, hiccups = Calibration(), StemBlender.compose, FakeClock(), {7: 30.0}

    def written(self: StemBlender, start: int, stop: int) -> Stems:
        usual = 0.1 * full_seconds() * (stop - start) / SAMPLES
        clock.pass_(usual * hiccups.pop(start // (SAMPLES // 30), 1.0))
        return compose(self, start, stop)

    reference = Predictor(two_branches()).separate(song())
    monkeypatch.setattr(StemBlender, "compose", written)
    costs = {"chunk_seconds": CHUNK_SECONDS, "segment_seconds": SEGMENT_SECONDS}
    Predictor(two_branches(clock=clock, **costs), clock=clock, calibration=calibration).separate(song())
    clock.now = 0.0
    first = iter([9 * CHUNK_SECONDS] * 3)
    engines = {
        source: scaling(gain, lambda _: clock.pass_(CHUNK_SECONDS + next(first, 0.0))) for source, gain in GAINS.items()
    }
    predictor = Predictor(two_branches(clock=clock, engines=engines, **costs), clock=clock, calibration=calibration)
    stems = predictor.separate(song(), budget_seconds=1.5 * 1.1 * full_seconds())
    assert clock.now <= 1.5 * 1.1 * full_seconds()
    assert error_db(stems, reference) == -60


def test_time_that_no_segment_fits_into_is_spent_on_refinements() -> None:
    networks = 4 * CHUNKING.count(SAMPLES) * CHUNK_SECONDS
    calibration, costs = Calibration(), {"chunk_seconds": CHUNK_SECONDS, "segment_seconds": 400.0}
    warm = FakeClock()
    Predictor(two_branches(clock=warm, **costs), clock=warm, calibration=calibration).separate(song())
    clock = FakeClock()
    predictor = Predictor(two_branches(clock=clock, **costs), clock=clock, calibration=calibration)
    predictor.separate(song(), budget_seconds=1.5 * networks)
    assert 0.9 * 1.5 * networks <= clock.now <= 1.5 * networks


def test_a_unit_that_comes_back_late_does_not_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run of the third network waits until the first block is written; everything after that is still estimated."""
    monkeypatch.setattr(StemBlender, "block_samples", SAMPLES // 10)
    calibration, costs = Calibration(), {"chunk_seconds": 0.001, "segment_seconds": 0.002}
    warm = FakeClock()
    Predictor(two_branches(clock=warm, **costs), clock=warm, calibration=calibration).separate(song())
    clock, is_written, compose, late = FakeClock(), threading.Event(), StemBlender.compose, Worker.late_result

    def written(self: StemBlender, start: int, stop: int) -> Stems:
        stems = compose(self, start, stop)
        is_written.set()
        return stems

    def awaited(self: Worker, *, timeout_seconds: float = 0.0) -> LateResult | None:
        return late(self, timeout_seconds=60.0) if is_written.is_set() else None

    monkeypatch.setattr(StemBlender, "compose", written)
    monkeypatch.setattr(Worker, "late_result", awaited)
    gain, first = GAINS["other"], iter([True])
    third = scaling(gain, lambda _: is_written.wait() if next(first, False) else clock.pass_(0.001))
    system = two_branches(clock=clock, engines={"other": third}, **costs)
    events = list(Predictor(system, clock=clock, calibration=calibration).stream(song(), budget_seconds=0.6))
    assert not any(isinstance(event, Note) and "abandoned" in event.text for event in events)
    stems = events[-1].result if isinstance(events[-1], Finished) else {}
    blended = 0.5 * gain + 0.5 * WAVEFORM_GAINS["other"]
    rest = slice(SAMPLES // 5, None)
    np.testing.assert_allclose(stems["other"][:, rest], blended * song()[:, rest], atol=1e-5)


def test_a_unit_that_fails_after_its_time_takes_no_stem_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run of the third network fails once the first block is written: the report's notes and the log say so."""
    monkeypatch.setattr(StemBlender, "block_samples", SAMPLES // 10)
    is_written, compose = threading.Event(), StemBlender.compose

    def written(self: StemBlender, start: int, stop: int) -> Stems:
        is_written.set()
        return compose(self, start, stop)

    def fail(_: int) -> None:
        is_written.wait()
        raise RuntimeError("out of something")

    monkeypatch.setattr(StemBlender, "compose", written)
    system = two_branches(engines={"other": scaling(GAINS["other"], fail)})
    stems = Predictor(system, clock=FakeClock()).separate(song(), budget_seconds=0.5)
    # Where one branch estimates a source and both the others, the stems need not add up to the mixture: to 2 % here.
    np.testing.assert_allclose(sum(stems.values()), song(), rtol=0.021, atol=1e-4)


def test_a_budget_that_is_large_enough_changes_nothing_but_by_refinement() -> None:
    mixture = song()
    expected = Predictor(two_branches()).separate(mixture)
    stems = Predictor(two_branches()).separate(mixture, budget_seconds=3600.0, refine=False)
    for source in MUSIC_SOURCES:
        np.testing.assert_array_equal(stems[source], expected[source])


def test_refinement_without_a_deadline_only_where_asked_for() -> None:
    """Engines whose error depends on the position in a chunk: overlapped and shifted passes average it away."""

    def tilted(batch: np.ndarray) -> np.ndarray:
        return (batch * np.linspace(0.0, 2.0, batch.shape[-1])).astype(np.float32)

    system = two_branches(engines={source: FakeEngine(tilted) for source in GAINS})
    mixture = np.ones((2, SAMPLES), np.float32)
    plain = Predictor(system).separate(mixture)["bass"]
    refined = Predictor(system).separate(mixture, refine=True)["bass"]
    inner = slice(CHUNKING.kept_samples, -CHUNKING.kept_samples)
    assert np.std(refined[:, inner]) < 0.6 * np.std(plain[:, inner])
    assert np.abs(np.diff(refined[:, inner])).max() < 0.1 * np.abs(np.diff(plain[:, inner])).max()


@pytest.mark.parametrize("budget_seconds", [0.0, 0.3, 0.69])
def test_a_budget_shorter_than_a_chunk_is_not_overrun_by_one(budget_seconds: float) -> None:
    """What a chunk takes is known from an earlier run, so none is begun and the mixture is shared out."""
    calibration, costs = Calibration(), {"chunk_seconds": 0.7, "segment_seconds": 20.0}
    Predictor(two_branches(clock=(warm := FakeClock()), **costs), clock=warm, calibration=calibration).separate(song())
    clock = FakeClock()
    predictor = Predictor(two_branches(clock=clock, **costs), clock=clock, calibration=calibration)
    stems = predictor.separate(song(), budget_seconds=budget_seconds)
    assert clock.now == 0
    np.testing.assert_allclose(stems["drums"], song() / 4, atol=1e-6)


def test_an_engine_that_never_returns_is_left_behind_at_the_deadline() -> None:
    """Real time: the engine waits for an event that comes only when the answer is there."""
    release = threading.Event()

    def hang(batch: np.ndarray) -> np.ndarray:
        release.wait()
        return batch

    mixture = song(20_000)
    predictor = Predictor(two_branches(engines={"other": FakeEngine(hang)}))
    try:
        events = list(predictor.stream(mixture, budget_seconds=1.0))
        stems = events[-1].result if isinstance(events[-1], Finished) else {}
        assert any(isinstance(event, Note) and "abandoned" in event.text for event in events)
        np.testing.assert_allclose(stems["bass"], GAINS["bass"] * mixture, atol=1e-6)
        np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-5)
        # The next song does without the part that hangs, and gets everything else.
        second = list(predictor.stream(mixture, budget_seconds=1.0))
        assert not any(isinstance(event, Note) and "abandoned" in event.text for event in second)
        again = second[-1].result if isinstance(second[-1], Finished) else {}
        blended = 0.5 * GAINS["vocals"] + 0.5 * WAVEFORM_GAINS["vocals"]
        np.testing.assert_allclose(again["vocals"], blended * mixture, atol=1e-5)
    finally:
        release.set()
    for thread in threading.enumerate():
        if thread.name == "mdx-worker":
            thread.join()
    assert not is_abandoned("anything")
    assert not worker._abandoned


def test_a_failure_in_the_worker_is_the_caller_s() -> None:
    def fail(batch: np.ndarray) -> np.ndarray:
        raise TimeoutError("not the deadline's")

    with pytest.raises(TimeoutError, match="not the deadline's"):
        Predictor(two_branches(engines={"bass": FakeEngine(fail)})).separate(song(9_000), budget_seconds=60.0)


@pytest.mark.parametrize(("budget_seconds", "expected"), [(None, []), (1e6, [0])])
def test_weights_are_opened_before_the_work_where_there_is_a_deadline(
    budget_seconds: float | None, expected: list[int]
) -> None:
    """So that what a unit costs is what it costs; without a deadline it is left to the engine."""
    engine = waveform_engine()
    n_runs_before: list[int] = []

    class Deferred:
        runs_on = engine.runs_on
        run = engine.run

        def open(self) -> None:
            n_runs_before.append(len(engine.shapes))

    system = two_branches(segment_engine=Deferred())
    mixture = np.random.default_rng(0).standard_normal((2, 30_000)).astype(np.float32)
    Predictor(system, clock=FakeClock()).separate(mixture, budget_seconds=budget_seconds, refine=False)
    assert n_runs_before == expected
    assert engine.shapes
    system.open_weights()
    assert len(n_runs_before) == len(expected) + 1
