"""Coverage, layers and energy: what is known where, in any order of work, without a step."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from my_submission.audio_io import MemoryStore, mixture_from_array
from my_submission.engines.fake_engine import FakeEngine
from my_submission.geometry import FadeChunking, OverlapChunking, SegmentGrid
from my_submission.mechanisms import WaveformMechanism
from my_submission.planning import ChunkBuffer, SegmentBuffer, estimates
from my_submission.planning.coverage import Coverage
from my_submission.planning.energy import BIN_SAMPLES, EnergyProfile
from my_submission.stems import DEMUCS_SOURCES
from tests.rigs import waveform

SAMPLES = 500
STRETCHES = st.lists(st.tuples(st.integers(-50, 550), st.integers(0, 200)), max_size=8)


def everywhere(degree: np.ndarray | float, samples: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(degree, np.float64), (samples,))


@settings(deadline=None)
@given(stretches=STRETCHES, fade=st.integers(1, 40))
def test_coverage_is_the_union_and_its_degree_never_jumps(stretches: list[tuple[int, int]], fade: int) -> None:
    coverage, mask = Coverage(SAMPLES, fade_samples=fade), np.zeros(SAMPLES, bool)
    for start, length in stretches:
        coverage.add(start, start + length)
        mask[max(0, start) : max(0, start + length)] = True
    assert coverage.covered_samples == mask.sum()
    assert coverage.is_whole == mask.all()
    gaps = np.zeros(SAMPLES, bool)
    for start, stop in coverage.gaps():
        gaps[start:stop] = True
    np.testing.assert_array_equal(gaps, ~mask)
    degree = everywhere(coverage.degree(0, SAMPLES), SAMPLES)
    assert (degree[~mask] == 0).all()
    assert (degree[mask] > 0).all()
    assert np.abs(np.diff(degree)).max() <= 1 / (fade + 1) + 1e-6
    if mask.all():
        assert (degree == 1).all()


@settings(deadline=None)
@given(stretches=STRETCHES, start=st.integers(0, 400), length=st.integers(1, 100))
def test_degree_of_a_block_is_the_block_of_the_degree(
    stretches: list[tuple[int, int]], start: int, length: int
) -> None:
    coverage = Coverage(SAMPLES, fade_samples=20)
    for begin, extent in stretches:
        coverage.add(begin, begin + extent)
    whole = everywhere(coverage.degree(0, SAMPLES), SAMPLES)
    block = everywhere(coverage.degree(start, start + length), length)
    np.testing.assert_allclose(block, whole[start : start + length], atol=1e-7)


def test_energy_adds_up_in_any_order_of_blocks() -> None:
    samples = 4 * BIN_SAMPLES + 777
    wave = np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)
    bounds = [0, 5_000, BIN_SAMPLES, 2 * BIN_SAMPLES + 3, samples]
    profile = EnergyProfile(samples)
    for start, stop in reversed(list(itertools.pairwise(bounds))):
        profile.add(start, wave[:, start:stop])
    assert profile.between(0, samples) == pytest.approx(np.sum(wave.astype(np.float64) ** 2), rel=1e-5)
    edge = 2 * BIN_SAMPLES
    assert profile.between(0, edge) == pytest.approx(np.sum(wave[:, :edge].astype(np.float64) ** 2), rel=1e-5)
    assert EnergyProfile.of(MemoryStore(wave)).between(0, samples) == pytest.approx(profile.between(0, samples))


GRID = OverlapChunking(400, 0.5)


def segment_buffer(samples: int, fade: int = 20, grid: SegmentGrid = GRID) -> SegmentBuffer:
    stores = {name: MemoryStore(channels=2, samples=samples) for name in DEMUCS_SOURCES}
    return SegmentBuffer(stores, samples, mean_and_std=(0.0, 1.0), grid=grid, fade_samples=fade)


def overlap_added(mechanism: WaveformMechanism, mixture: np.ndarray, grid: SegmentGrid) -> dict[str, np.ndarray]:
    """The overlap-add once more, over the whole song at once: sums of weighted segments over sums of weights."""
    samples, full = mixture.shape[1], grid.segment_samples
    total, weights = np.zeros((4, 2, samples), np.float32), np.zeros(samples, np.float32)
    with mixture_from_array(mixture, 44_100) as prepared:
        for offset in grid.offsets(samples):
            start, stop = max(0, offset), min(offset + full, samples)
            weight = grid.weights(full)[start - offset : stop - offset]
            total[..., start:stop] += weight * mechanism.segment(prepared, start, stop - start)
            weights[start:stop] += weight
    return dict(zip(mechanism.sources, total / weights, strict=True))


@pytest.mark.parametrize("grid", [GRID, FadeChunking(360, 40), FadeChunking(2_345)])
@pytest.mark.parametrize("samples", [1, 399, 400, 401, 1_000, 2_345])
def test_segments_in_any_order_give_the_published_sum_to_the_bit(
    samples: int, grid: SegmentGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each added up in several pieces."""
    monkeypatch.setattr(estimates, "PIECE_SAMPLES", 100)
    mixture = np.random.default_rng(1).standard_normal((2, samples)).astype(np.float32)
    engine = FakeEngine(lambda batch: np.stack([batch * gain for gain in (0.1, 0.2, 0.3, 0.4)], axis=1))
    mechanism = waveform(engine, grid, excess=7)
    buffer, full = segment_buffer(samples, grid=grid), grid.segment_samples
    with mixture_from_array(mixture, 44_100) as prepared:
        for offset in np.random.default_rng(2).permutation(list(grid.offsets(samples))):
            start, stop = max(0, int(offset)), min(full + int(offset), samples)
            rows = mechanism.segment(prepared, start, stop - start)
            buffer.add(int(offset), rows, mechanism.sources, full_samples=full)
    in_order = overlap_added(mechanism, mixture, grid)
    assert buffer.coverage["bass"].is_whole
    assert (everywhere(buffer.degree("bass", 0, samples), samples) == 1).all()
    for source in DEMUCS_SOURCES:
        np.testing.assert_array_equal(buffer.read(0, samples)[source], in_order[source])


@settings(deadline=None, max_examples=50)
@given(
    offsets=st.lists(st.integers(0, 800), min_size=1, max_size=6), lengths=st.lists(st.integers(100, 400), min_size=6)
)
def test_any_set_of_segments_blends_without_a_step(offsets: list[int], lengths: list[int]) -> None:
    """Segments of different constants, weighted by their degree, never jump further than a ramp's slope allows."""
    buffer = segment_buffer(1_200)
    for level, (offset, length) in enumerate(zip(offsets, lengths, strict=False), start=1):
        inside = min(length, 1_200 - offset)
        buffer.add(offset, np.full((4, 2, inside), level, np.float32), DEMUCS_SOURCES, full_samples=inside)
    heard = everywhere(buffer.degree("bass", 0, 1_200), 1_200) * buffer.read(0, 1_200)["bass"][0]
    spread = len(offsets)
    assert np.abs(np.diff(heard)).max() <= spread * (spread / 21 + 2 / 50)


def test_chunks_fade_in_only_where_they_are_weighted() -> None:
    buffer = ChunkBuffer({"bass": MemoryStore(channels=2, samples=100)}, 100)
    buffer.write("bass", 0, np.ones((2, 100), np.float32))
    weights = np.concatenate([np.linspace(0, 1, 20), np.linspace(1, 0, 20)]).astype(np.float32)
    buffer.fade_in("bass", 30, np.full((2, 40), 3.0, np.float32), weights)
    bass = buffer.read(0, 100)["bass"][0]
    assert (bass[:31] == 1).all()
    assert (bass[69:] == 1).all()
    assert bass.max() == pytest.approx(3.0)
