"""The ladder: which plan a budget gets, where single segments go, and when a fallback stands in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from my_submission.audio_io import MemoryStore, mixture_from_array
from my_submission.budget import Budget
from my_submission.events import Finished, Note
from my_submission.mechanisms import SpectralNetwork
from my_submission.mechanisms.chunks import ChunkStage, in_batches
from my_submission.mechanisms.segment_stages import SHORTEST_SHARE, SegmentStage
from my_submission.planning import Calibration, Cost, CostModel, Forecast, SegmentBuffer
from my_submission.predictor import Predictor
from my_submission.predictor.song_separation import ASSUMED, CAUTIOUS
from my_submission.predictor.write_cost import spare_seconds
from my_submission.reports import AS_PUBLISHED
from my_submission.stems import DEMUCS_SOURCES, MUSIC_SOURCES
from my_submission.systems import Branch, LoadedSystem
from my_submission.systems.usual_costs import SHORTEST_SECONDS
from tests.rigs import (
    CHUNKING,
    SEGMENTS,
    WHOLES,
    FakeClock,
    scaling,
    spectral,
    two_branches,
    waveform,
    waveform_engine,
)

SAMPLES = 100_000
RATE = 44_100
N_CHUNKS = CHUNKING.count(SAMPLES)


def song() -> np.ndarray:
    return (0.2 * np.random.default_rng(0).standard_normal((2, SAMPLES))).astype(np.float32)


def costs() -> dict[str, float]:
    return {"chunk_seconds": 1.0, "segment_seconds": 4.0}


def calibrated() -> Calibration:
    calibration, clock = Calibration(), FakeClock()
    Predictor(two_branches(clock=clock, **costs()), clock=clock, calibration=calibration).separate(song())
    return calibration


@pytest.mark.parametrize(
    ("seconds", "quality_level"),
    [
        (0.0, "equal shares of the mixture"),
        (2.54 * N_CHUNKS, "networks: other for 50% of the song, no networks: vocals, no demucs"),
        (4.2 * N_CHUNKS + 10, "demucs for"),
        (4 * N_CHUNKS + 4.4 * 14, "demucs at overlap 0.1"),
        (4 * N_CHUNKS + 4.4 * 17, "demucs at overlap 0.25"),
        (4 * N_CHUNKS + 4.4 * 26, "everything as published"),
    ],
)
def test_a_budget_gets_the_dearest_plan_that_ends_in_time(seconds: float, quality_level: str) -> None:
    clock = FakeClock()
    predictor = Predictor(two_branches(clock=clock, **costs()), clock=clock, calibration=calibrated())
    events = list(predictor.stream(song(), budget_seconds=seconds))
    (planned,) = [event.text for event in events if isinstance(event, Note) and event.text.startswith("planned")]
    assert planned.removeprefix("planned: ").startswith(quality_level)
    assert clock.now <= seconds - spare_seconds(seconds)


def test_a_plan_without_measured_costs_says_that_it_is_cautious() -> None:
    for calibration, is_cautious in ((Calibration(), True), (calibrated(), False)):
        clock = FakeClock()
        predictor = Predictor(two_branches(clock=clock, **costs()), clock=clock, calibration=calibration)
        notes = [event.text for event in predictor.stream(song(), budget_seconds=10_000.0) if isinstance(event, Note)]
        (planned,) = [text for text in notes if text.startswith("planned: ")]
        assert planned.endswith(CAUTIOUS) == is_cautious


def with_usual_costs(clock: FakeClock, times_slower: float) -> LoadedSystem:
    """Two branches with usual costs, on a machine that is slower than usual by a factor."""
    system = two_branches(clock=clock, **{name: times_slower * seconds for name, seconds in costs().items()})
    song_seconds = max(SAMPLES / RATE, SHORTEST_SECONDS)
    usual = (4 * N_CHUNKS * 1.0, len(SEGMENTS.offsets(SAMPLES)) * 4.0)
    branches = [
        replace(branch, processor_seconds=seconds / song_seconds)
        for branch, seconds in zip(system.branches, usual, strict=True)
    ]
    return replace(system, branches=tuple(branches))


def test_a_first_plan_follows_from_the_usual_costs() -> None:
    """1.8 times the usual duration is enough for everything with the margin of a guess, 1.5 times."""
    full = 4 * N_CHUNKS + 4 * len(SEGMENTS.offsets(SAMPLES))
    clock = FakeClock()
    events = list(Predictor(with_usual_costs(clock, 1.0), clock=clock).stream(song(), budget_seconds=1.8 * full))
    (planned,) = [event.text for event in events if isinstance(event, Note) and event.text.startswith("planned: ")]
    assert planned == f"planned: {AS_PUBLISHED}{ASSUMED}"
    assert clock.now <= 1.8 * full
    assert events[-1].report.is_as_published


@pytest.mark.parametrize("times_slower", [0.5, 2.0, 5.0, 20.0])
@pytest.mark.parametrize("share", [0.1, 0.3, 1.0, 2.0])
def test_a_machine_slower_than_usual_ends_its_first_song_in_time(share: float, times_slower: float) -> None:
    """Every run of an engine takes 5 times as long as assumed, or even 20 times if it is short relative to the time."""
    clock, mixture = FakeClock(), song()
    budget = share * (4 * N_CHUNKS + 4 * len(SEGMENTS.offsets(SAMPLES)))
    events = list(Predictor(with_usual_costs(clock, times_slower), clock=clock).stream(mixture, budget_seconds=budget))
    assert isinstance(events[-1], Finished)
    if times_slower <= 5 or 4 * times_slower < budget:
        assert clock.now <= budget
        assert events[-1].report.late_by_seconds == 0
    for stem in events[-1].result.values():
        assert stem.shape == mixture.shape
        assert (np.abs(stem[np.abs(mixture) > 0.05]) > 0).all()


def segment_stage(clock: FakeClock, energy_at: int) -> tuple[SegmentStage, SegmentBuffer]:
    """Demucs over a song that is loud in one place."""
    mechanism = waveform(waveform_engine(lambda samples: clock.pass_(samples / RATE)))
    stores = {source: MemoryStore(channels=2, samples=SAMPLES) for source in DEMUCS_SOURCES}
    buffer = SegmentBuffer(stores, SAMPLES, mean_and_std=(0.0, 1.0), grid=SEGMENTS, fade_samples=100)

    def benefit(start: int, stop: int) -> float:
        return float(max(0, min(stop, energy_at + 2_000) - max(start, energy_at)))

    mixture = mixture_from_array(song(), RATE)
    grids = SEGMENTS.grids(SAMPLES, (0.25, 0.1))
    return SegmentStage("demucs", "key", mechanism, mixture, buffer, grids=grids, benefit=benefit), buffer


@pytest.mark.parametrize("energy_at", [0, 40_000, 95_000])
@pytest.mark.parametrize("n_segments", [0.5, 1.6])
def test_single_segments_go_where_they_bring_most_and_the_last_is_shorter(energy_at: int, n_segments: float) -> None:
    clock = FakeClock()
    stage, buffer = segment_stage(clock, energy_at)
    calibration = Calibration()
    calibration.update({"key": Cost(1.0, 1.0)})
    model = CostModel(calibration)
    budget = Budget(1.3 * n_segments * SEGMENTS.segment_samples / RATE, clock)
    forecast = Forecast(model, budget)
    while (item := stage.next_item(forecast)) is not None:
        began = clock.now
        item.commit(item.compute())
        model.observe("key", item.audio_seconds, clock.now - began)
    assert clock.now <= budget.seconds
    covered = buffer.coverage["bass"]
    assert covered.covered_samples >= 0.8 * n_segments * SEGMENTS.segment_samples
    assert isinstance(covered.degree(energy_at + 900, energy_at + 1_100), float)
    assert covered.degree(energy_at + 900, energy_at + 1_100) == 1
    assert not stage.is_as_published


def test_work_whose_gaps_were_closed_is_done_also_while_the_song_is_written() -> None:
    clock = FakeClock()
    stage, buffer = segment_stage(clock, 0)
    forecast = Forecast(CostModel(Calibration()), Budget(0.0, clock))
    assert stage.next_item(forecast, after=1) is None
    assert not stage.is_done
    buffer.add(0, np.zeros((4, 2, SAMPLES), np.float32), DEMUCS_SOURCES, full_samples=SAMPLES)
    calibration = Calibration()
    calibration.update({"key": Cost(1.0, 1.0)})
    assert stage.next_item(Forecast(CostModel(calibration), Budget(0.0, clock)), after=1) is None
    assert stage.is_done


@pytest.mark.parametrize("energy_at", [0, 40_000, 95_000])
@pytest.mark.parametrize("length_share", [0.2, 1.0])
def test_every_segment_covers_something_new_while_the_song_is_written(energy_at: int, length_share: float) -> None:
    """Also where a gap ends just before what may still change, and where only shorter segments fit."""
    clock, after = FakeClock(), 30_000
    stage, buffer = segment_stage(clock, energy_at)
    calibration = Calibration()
    calibration.update({"key": Cost(1.0, 1.0)})
    buffer.add(after - 500, np.zeros((4, 2, 9_000), np.float32), DEMUCS_SOURCES, full_samples=9_000)
    covered, before = buffer.coverage["bass"], 0
    left = 1.3 * length_share * SEGMENTS.segment_samples / RATE
    while (
        item := stage.next_item(Forecast(CostModel(calibration), Budget(left, FakeClock())), after=after)
    ) is not None:
        item.commit(item.compute())
        assert item.first_sample >= after
        assert covered.covered_samples > before
        before = covered.covered_samples
    assert list(covered.gaps()) == [(0, after - 500)]


def test_a_last_segment_that_came_too_late_leaves_gaps_to_close() -> None:
    """All of the song is handed out, dropped, and the rest is asked for again while the song is written."""
    stage, buffer = segment_stage(FakeClock(), 0)
    calibration = Calibration()
    calibration.update({"key": Cost(1e-3, 1e-3)})
    forecast = Forecast(CostModel(calibration), Budget(60.0, FakeClock()))
    while not stage.is_done:
        item = stage.next_item(forecast)
        assert item is not None
    item.drop()
    assert not stage.is_done
    while (item := stage.next_item(forecast, after=30_000)) is not None:
        item.commit(item.compute())
    assert list(buffer.coverage["bass"].gaps()) == [(0, 30_000)]


def test_chunks_of_a_batch_that_may_still_change_are_done_and_dropped_ones_come_again() -> None:
    network = SpectralNetwork("bass", scaling(0.1), CHUNKING)
    done: list[int] = []
    batches = in_batches(list(CHUNKING.spans(SAMPLES)), 8, benefit=None)
    mixture = mixture_from_array(song(), RATE)
    stage = ChunkStage("bass", "key", network.engine, mixture, batches, commit=lambda span, _: done.append(span.start))
    forecast = Forecast(CostModel(Calibration()), Budget(clock=FakeClock()))
    after = batches[0][3].start - 1
    item = stage.next_item(forecast, after=after)
    assert item is not None
    assert item.first_sample == batches[0][3].start
    item.drop()
    while (item := stage.next_item(forecast, after=after)) is not None:
        item.commit(item.compute())
    assert sorted(done) == [span.start for batch in batches for span in batch][3:]


@pytest.mark.parametrize(("n_chunks", "expected"), [(17, [5, 6, 6]), (8, [8]), (9, [4, 5]), (3, [3]), (0, [])])
def test_batches_are_as_large_as_each_other(n_chunks: int, expected: list[int]) -> None:
    """Another size of a batch costs a GPU time; all chunks are there, in their order."""
    stride = CHUNKING.stride_samples
    spans = [CHUNKING.span_at(number * stride, 20 * stride) for number in range(n_chunks)]
    batches = in_batches(spans, 8, benefit=None)
    assert [len(batch) for batch in batches] == expected
    assert [span for batch in batches for span in batch] == spans


def test_nothing_is_begun_below_the_shortest_segment() -> None:
    clock = FakeClock()
    stage, _ = segment_stage(clock, 0)
    calibration = Calibration()
    calibration.update({"key": Cost(1.0, 1.0)})
    short = 1.2 * SEGMENTS.segment_samples / SHORTEST_SHARE / RATE
    assert stage.next_item(Forecast(CostModel(calibration), Budget(short, clock))) is None
    assert not stage.is_done


def test_a_fallback_stands_in_where_the_system_would_not_end_in_time() -> None:
    """Half the networks' time: the cheap system covers the song first, the dear networks replace what they can."""
    clock = FakeClock()
    cheap = {source: 0.2 + 0.02 * index for index, source in enumerate(MUSIC_SOURCES)}
    engines = {source: scaling(gain, lambda _: clock.pass_(0.1)) for source, gain in cheap.items()}
    fallback = Branch("cheap", spectral(engines), WHOLES)
    calibration = calibrated()
    for with_fallback in (True, False):
        clock.now = 0.0
        system = two_branches(clock=clock, **costs())
        if with_fallback:
            system = replace(system, open_fallback=lambda: fallback)
        predictor = Predictor(system, clock=clock, calibration=calibration)
        for _ in range(2):  # the second time the fallback's cost is known
            clock.now = 0.0
            events = list(predictor.stream(song(), budget_seconds=2.0 * N_CHUNKS))
        assert clock.now <= 2.0 * N_CHUNKS
        stems = events[-1].result if isinstance(events[-1], Finished) else {}
        quiet = slice(SAMPLES // 2, SAMPLES // 2 + 100)
        expected = cheap["vocals"] * song()[:, quiet]
        assert np.allclose(stems["vocals"][:, quiet], expected, atol=1e-4) == with_fallback
