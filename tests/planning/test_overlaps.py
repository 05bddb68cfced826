"""Overlapping chunks in two passes: any order gives the published mean, and the overlap gives way first."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from my_submission.audio_io import MemoryStore
from my_submission.engines.fake_engine import FakeEngine
from my_submission.geometry import SpectralChunking, StftGeometry
from my_submission.mechanisms import ConditionedMechanism, ConditionedRecipe
from my_submission.mechanisms.overlaps import OverlapAverager, covering_first
from my_submission.planning import ChunkBuffer
from my_submission.predictor import Predictor
from my_submission.stems import MUSIC_SOURCES
from my_submission.systems import Branch, BranchRecipe, LoadedSystem, SystemRecipe
from tests.rigs import FakeClock

STFT = StftGeometry(64, 16, 33)
HALF = SpectralChunking(STFT, 64, 100, 0.5)
WHOLES = dict.fromkeys(MUSIC_SOURCES, 1.0)


@settings(deadline=None, max_examples=60)
@given(samples=st.integers(1, 9_000), overlap=st.sampled_from([0.0, 0.2, 0.5]))
def test_covering_chunks_leave_no_gap_and_none_is_idle(samples: int, overlap: float) -> None:
    spans = list(SpectralChunking(STFT, 64, 100, overlap).spans(samples))
    covering, others = covering_first(spans)
    assert sorted([*covering, *others], key=lambda span: span.start) == spans
    assert (covering[0].start, covering[-1].stop) == (0, samples)
    for before, after in pairwise(covering):
        assert after.start <= before.stop
    for before, after in zip(covering[:-2], covering[2:], strict=True):
        assert after.start > before.stop or after is covering[-1]
    if overlap < 0.5:
        assert not others


@settings(deadline=None, max_examples=30)
@given(samples=st.integers(1, 6_000), overlap=st.sampled_from([0.0, 0.2, 0.5]), seed=st.integers(0, 100))
def test_chunks_in_any_order_give_their_mean(samples: int, overlap: float, seed: int) -> None:
    """1e-6 of estimates of about one; the same to the bit in every order."""
    rng = np.random.default_rng(seed)
    spans = list(SpectralChunking(STFT, 64, 100, overlap).spans(samples))
    estimates = [rng.standard_normal((2, 2, span.stop - span.start)).astype(np.float32) for span in spans]
    stores = {source: MemoryStore(channels=2, samples=samples) for source in ("bass", "drums")}
    buffer = ChunkBuffer(stores, samples)
    put = OverlapAverager(buffer, ("bass", "drums"))
    for index in rng.permutation(len(spans)):
        put(spans[index], estimates[index])
    total, counts = np.zeros((2, 2, samples)), np.zeros(samples)
    for span, estimate in zip(spans, estimates, strict=True):
        total[..., span.start : span.stop] += estimate
        counts[span.start : span.stop] += 1
    assert counts.max() <= 2
    for row, source in enumerate(("bass", "drums")):
        np.testing.assert_allclose(stores[source].read(0, samples), (total / counts)[row], atol=1e-6)
        assert buffer.coverage[source].is_whole


def rig(clock: FakeClock, *, chunk_seconds: float) -> Predictor:
    """A conditioned system whose every chunk takes its time and comes out a little different."""

    def run(batch: np.ndarray) -> np.ndarray:
        clock.pass_(chunk_seconds * len(batch))
        rows = [0.1 * (row + 1) * batch + 0.01 * np.abs(batch).mean(axis=-1, keepdims=True) for row in range(4)]
        return np.stack(rows, axis=1).astype(np.float32)

    mechanism = ConditionedMechanism(MUSIC_SOURCES, FakeEngine(run), HALF)
    recipe = ConditionedRecipe("fake/network", MUSIC_SOURCES, 100, 0.5)
    system = SystemRecipe("fake", "for tests", MUSIC_SOURCES, (BranchRecipe("network", recipe, WHOLES),))
    return Predictor(LoadedSystem(system, (Branch("network", mechanism, WHOLES),), {}), clock=clock)


def song(samples: int = 12 * HALF.kept_samples + 333) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((2, samples)).astype(np.float32)


def test_enough_time_gives_what_no_limit_gives() -> None:
    free = rig(FakeClock(), chunk_seconds=1.0).separate(song())
    timed = rig(FakeClock(), chunk_seconds=1.0).separate(song(), budget_seconds=1_000)
    for source in MUSIC_SOURCES:
        np.testing.assert_array_equal(timed[source], free[source])


def test_the_overlap_gives_way_first() -> None:
    """With time for the covering half of the chunks every stem is complete: the engine's, without any overlap."""
    n_covering = len(covering_first(list(HALF.spans(song().shape[1])))[0])
    clock = FakeClock()
    stems = rig(clock, chunk_seconds=1.0).separate(song(), budget_seconds=1.45 * n_covering)
    assert clock.now <= 1.45 * n_covering
    plain = SpectralChunking(STFT, 64, 100, 0.0)
    for row, source in enumerate(MUSIC_SOURCES):
        share = np.abs(stems[source] - 0.1 * (row + 1) * song()).max()
        assert share < 0.02, source  # the part a chunk adds, and nothing shared out equally
    assert plain.count(song().shape[1]) <= n_covering
