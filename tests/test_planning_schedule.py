"""The ladder: which plan a budget gets, where single segments go, and when a fallback stands in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from my_submission.audio_io import MemoryStore, mixture_from_array
from my_submission.budget import Budget
from my_submission.events import Finished, Note
from my_submission.geometry import segment_grids
from my_submission.planning import Calibration, ChunkWork, Cost, Forecast, Pace, SegmentLayer, SegmentWork
from my_submission.planning.segments import SHORTEST_SHARE
from my_submission.planning.work import chunk_batches, in_batches
from my_submission.predictor import Predictor
from my_submission.predictor.song import spare_seconds
from my_submission.separators import SpectralSeparator, WaveformSeparator
from my_submission.stems import DEMUCS_SOURCES, MUSIC_SOURCES
from my_submission.systems import Branch
from tests.rigs import CHUNKING, SEGMENTS, WHOLES, FakeClock, scaling, two_branches, waveform_engine

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
    ("seconds", "rung"),
    [
        (0.0, "the mixture shared out equally"),
        (2.54 * N_CHUNKS, "networks: other for 50% of the song, no networks: vocals, no demucs"),
        (4.2 * N_CHUNKS + 10, "demucs for"),
        (4 * N_CHUNKS + 4.4 * 14, "demucs at overlap 0.1"),
        (4 * N_CHUNKS + 4.4 * 17, "demucs at overlap 0.25"),
        (4 * N_CHUNKS + 4.4 * 26, "everything as published"),
    ],
)
def test_a_budget_gets_the_dearest_plan_that_ends_in_time(seconds: float, rung: str) -> None:
    clock = FakeClock()
    predictor = Predictor(two_branches(clock=clock, **costs()), clock=clock, calibration=calibrated())
    events = list(predictor.stream(song(), budget_seconds=seconds))
    (planned,) = [event.text for event in events if isinstance(event, Note) and event.text.startswith("planned")]
    assert planned.removeprefix("planned: ").startswith(rung)
    assert clock.now <= seconds - spare_seconds(seconds)


def segment_work(clock: FakeClock, energy_at: int) -> tuple[SegmentWork, SegmentLayer]:
    """Demucs over a song that is loud in one place."""
    separator = WaveformSeparator(
        waveform_engine(lambda samples: clock.pass_(samples / RATE)),
        DEMUCS_SOURCES,
        valid_length=lambda samples: samples + 10,
        chunking=SEGMENTS,
        normalisation="none",
    )
    stores = {source: MemoryStore(channels=2, samples=SAMPLES) for source in DEMUCS_SOURCES}
    layer = SegmentLayer(stores, SAMPLES, centre_and_scale=(0.0, 1.0), grid=SEGMENTS, fade_samples=100)

    def benefit(start: int, stop: int) -> float:
        return float(max(0, min(stop, energy_at + 2_000) - max(start, energy_at)))

    mixture = mixture_from_array(song(), RATE)
    grids = segment_grids(SEGMENTS, SAMPLES, (0.25, 0.1))
    work = SegmentWork("demucs", "key", separator, mixture, layer, grids=grids, benefit=benefit)
    return work, layer


@pytest.mark.parametrize("energy_at", [0, 40_000, 95_000])
@pytest.mark.parametrize("n_segments", [0.5, 1.6])
def test_single_segments_go_where_they_bring_most_and_the_last_is_shorter(energy_at: int, n_segments: float) -> None:
    clock = FakeClock()
    work, layer = segment_work(clock, energy_at)
    calibration = Calibration()
    calibration.update({"key": Cost(1.0, 1.0)})
    pace = Pace(calibration)
    budget = Budget(1.3 * n_segments * SEGMENTS.segment_samples / RATE, clock)
    forecast = Forecast(pace, budget)
    while (unit := work.next(forecast)) is not None:
        began = clock.now
        unit.commit(unit.compute())
        pace.observe("key", unit.audio_seconds, clock.now - began)
    assert clock.now <= budget.seconds
    covered = layer.coverage["bass"]
    assert covered.covered_samples >= 0.8 * n_segments * SEGMENTS.segment_samples
    assert isinstance(covered.degree(energy_at + 900, energy_at + 1_100), float)
    assert covered.degree(energy_at + 900, energy_at + 1_100) == 1
    assert not work.is_as_published


def test_work_whose_gaps_were_closed_is_done_also_while_the_song_is_written() -> None:
    clock = FakeClock()
    work, layer = segment_work(clock, 0)
    forecast = Forecast(Pace(Calibration()), Budget(0.0, clock))
    assert work.next(forecast, after=1) is None
    assert not work.is_done
    layer.add(0, np.zeros((4, 2, SAMPLES), np.float32), DEMUCS_SOURCES, full_samples=SAMPLES)
    calibration = Calibration()
    calibration.update({"key": Cost(1.0, 1.0)})
    assert work.next(Forecast(Pace(calibration), Budget(0.0, clock)), after=1) is None
    assert work.is_done


@pytest.mark.parametrize("energy_at", [0, 40_000, 95_000])
@pytest.mark.parametrize("length_share", [0.2, 1.0])
def test_every_segment_covers_something_new_while_the_song_is_written(energy_at: int, length_share: float) -> None:
    """Also where a gap ends just before what may still change, and where only shorter segments fit."""
    clock, after = FakeClock(), 30_000
    work, layer = segment_work(clock, energy_at)
    calibration = Calibration()
    calibration.update({"key": Cost(1.0, 1.0)})
    layer.add(after - 500, np.zeros((4, 2, 9_000), np.float32), DEMUCS_SOURCES, full_samples=9_000)
    covered, before = layer.coverage["bass"], 0
    left = 1.3 * length_share * SEGMENTS.segment_samples / RATE
    while (unit := work.next(Forecast(Pace(calibration), Budget(left, FakeClock())), after=after)) is not None:
        unit.commit(unit.compute())
        assert unit.first_sample >= after
        assert covered.covered_samples > before
        before = covered.covered_samples
    assert list(covered.gaps()) == [(0, after - 500)]


def test_a_last_segment_that_came_too_late_leaves_gaps_to_close() -> None:
    """All of the song is handed out, dropped, and the rest is asked for again while the song is written."""
    work, layer = segment_work(FakeClock(), 0)
    calibration = Calibration()
    calibration.update({"key": Cost(1e-3, 1e-3)})
    forecast = Forecast(Pace(calibration), Budget(60.0, FakeClock()))
    while not work.is_done:
        unit = work.next(forecast)
        assert unit is not None
    unit.drop()
    assert not work.is_done
    while (unit := work.next(forecast, after=30_000)) is not None:
        unit.commit(unit.compute())
    assert list(layer.coverage["bass"].gaps()) == [(0, 30_000)]


def test_chunks_of_a_batch_that_may_still_change_are_done_and_dropped_ones_come_again() -> None:
    separator = two_branches().branches[0].separators[0]
    assert isinstance(separator, SpectralSeparator)
    separator.batch_chunks = 8
    done: list[int] = []
    batches = chunk_batches(separator, SAMPLES, benefit=None)
    mixture = mixture_from_array(song(), RATE)
    work = ChunkWork("bass", "key", separator, mixture, batches, commit=lambda span, _: done.append(span.start))
    forecast = Forecast(Pace(Calibration()), Budget(clock=FakeClock()))
    after = batches[0][3].start - 1
    unit = work.next(forecast, after=after)
    assert unit is not None
    assert unit.first_sample == batches[0][3].start
    unit.drop()
    while (unit := work.next(forecast, after=after)) is not None:
        unit.commit(unit.compute())
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
    work, _ = segment_work(clock, 0)
    calibration = Calibration()
    calibration.update({"key": Cost(1.0, 1.0)})
    short = 1.2 * SEGMENTS.segment_samples / SHORTEST_SHARE / RATE
    assert work.next(Forecast(Pace(calibration), Budget(short, clock))) is None
    assert not work.is_done


def test_a_fallback_stands_in_where_the_system_would_not_end_in_time() -> None:
    """Half the networks' time: the cheap system covers the song first, the dear networks replace what they can."""
    clock = FakeClock()
    cheap = {source: 0.2 + 0.02 * index for index, source in enumerate(MUSIC_SOURCES)}
    separators = tuple(
        SpectralSeparator(source, scaling(gain, lambda _: clock.pass_(0.1)), CHUNKING) for source, gain in cheap.items()
    )
    fallback = Branch("cheap", separators, None, WHOLES)
    calibration = calibrated()
    for with_fallback in (True, False):
        clock.now = 0.0
        assembly = two_branches(clock=clock, **costs())
        if with_fallback:
            assembly = replace(assembly, open_fallback=lambda: fallback)
        predictor = Predictor(assembly, clock=clock, calibration=calibration)
        for _ in range(2):  # the second time the fallback's cost is known
            clock.now = 0.0
            events = list(predictor.stream(song(), budget_seconds=2.0 * N_CHUNKS))
        assert clock.now <= 2.0 * N_CHUNKS
        stems = events[-1].result if isinstance(events[-1], Finished) else {}
        quiet = slice(SAMPLES // 2, SAMPLES // 2 + 100)
        expected = cheap["vocals"] * song()[:, quiet]
        assert np.allclose(stems["vocals"][:, quiet], expected, atol=1e-4) == with_fallback
