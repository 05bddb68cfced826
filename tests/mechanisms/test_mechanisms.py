"""Chunkers with identity engines, the Mixer, triangular weights and the statistics Demucs scales by."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from my_submission.audio_io import MixtureStatistics, mixture_from_array
from my_submission.engines.fake_engine import FakeEngine
from my_submission.fade_weights import trapezoid, triangle
from my_submission.geometry import FadeChunking, OverlapChunking, SpectralChunking, StftGeometry, WholeSong
from my_submission.mechanisms import Mixer, SpectralMechanism, SpectralNetwork, WaveformMechanism
from my_submission.mechanisms.waveform import mean_and_std
from my_submission.stems import DEMUCS_SOURCES, MUSIC_SOURCES
from tests.rigs import estimated, waveform_engine

CHUNKING = SpectralChunking(StftGeometry(256, 64, 129), 33)
KEPT = CHUNKING.kept_samples


def song(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, samples)).astype(np.float32)


def network(engine: FakeEngine, *, batch_size: int = 1, source: str = "vocals") -> SpectralMechanism:
    return SpectralMechanism((SpectralNetwork(source, engine, CHUNKING, batch_size),))


@pytest.mark.parametrize("samples", [1, 2, KEPT - 1, KEPT, KEPT + 1, 2 * KEPT, 44_100])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_spectral_identity_returns_the_song_exactly(samples: int, batch_size: int) -> None:
    mixture = song(samples)
    stems = estimated(network(FakeEngine(), batch_size=batch_size), mixture)
    np.testing.assert_array_equal(stems["vocals"], mixture)


def test_spectral_batches_are_bounded_and_no_chunk_is_wasted() -> None:
    engine = FakeEngine()
    estimated(network(engine, batch_size=4), song(10 * KEPT))
    assert [shape[0] for shape in engine.shapes] == [3, 3, 4]
    assert engine.n_last == 1
    assert {shape[1:] for shape in engine.shapes} == {(2, CHUNKING.chunk_samples)}


def test_spectral_chunks_hear_their_neighbours() -> None:
    """The engine sees real samples of the song in the trimmed margins, zeros only beyond its ends."""
    heard: list[np.ndarray] = []
    mixture, trim = song(3 * KEPT), CHUNKING.trim_samples
    engine = FakeEngine(lambda batch: (heard.append(batch.copy()), batch)[1])
    estimated(network(engine), mixture)
    padded = np.pad(mixture, ((0, 0), (trim, trim)))
    for index, batch in enumerate(heard):
        expected = padded[:, index * KEPT : index * KEPT + CHUNKING.chunk_samples]
        np.testing.assert_array_equal(batch[0], expected)


@pytest.mark.parametrize("overlap", [-0.1, 0.51, 1.0])
def test_overlaps_beyond_one_half_are_refused(overlap: float) -> None:
    with pytest.raises(ValueError, match="overlap_ratio"):
        SpectralChunking(CHUNKING.stft, CHUNKING.frames, overlap_ratio=overlap)


@pytest.mark.parametrize(("stride", "fade"), [(10, 10), (0, 0), (5, -1)])
def test_cross_fades_that_do_not_fit_are_refused(stride: int, fade: int) -> None:
    with pytest.raises(ValueError, match="fade_samples"):
        FadeChunking(stride, fade)


def test_ramps_must_fit() -> None:
    np.testing.assert_array_equal(trapezoid(4, 0), np.ones(4, np.float32))
    with pytest.raises(ValueError, match="do not fit"):
        trapezoid(4, 3)


def test_a_trim_of_one_s_own_is_possible_and_nonsense_is_not() -> None:
    assert SpectralChunking(CHUNKING.stft, 33, trim=500).kept_samples == 64 * 32 - 1000
    with pytest.raises(ValueError, match="nothing left"):
        SpectralChunking(CHUNKING.stft, 33, trim=1024)
    with pytest.raises(ValueError, match="batch_size"):
        SpectralNetwork("bass", FakeEngine(), CHUNKING, batch_size=0)


def published_fades(samples: int) -> list[tuple[int, int]]:
    """Segments of the AIMLESS web page, by its own loop: 10 % over ten seconds, then that much again, 0.1 s faded."""
    chunk, fade, spans = 485_100, 4_410, []
    start, stop = 0, chunk
    while not spans or start < samples - fade:
        spans.append((start, min(stop, samples)))
        start += chunk - fade if start == 0 else chunk
        stop += chunk
    return spans


@pytest.mark.parametrize("samples", [1, 4_410, 485_099, 485_100, 485_101, 970_200, 2_646_000])
def test_cross_faded_segments_lie_where_the_published_page_puts_them(samples: int) -> None:
    grid = FadeChunking(485_100, 4_410)
    spans = [(max(0, at), min(at + grid.segment_samples, samples)) for at in grid.offsets(samples)]
    assert spans == published_fades(samples)
    assert all(before[1] - after[0] <= 4_410 for before, after in itertools.pairwise(spans))


def test_cross_fades_are_the_published_ones_to_a_sample() -> None:
    """Segments of different constants, by the page's own loop; its ramps reach 0 and 1, ours one step less."""
    samples, fade = 2_000_000, 4_410
    published, spans = np.zeros(samples), published_fades(samples)
    for number, (start, stop) in enumerate(spans):
        weights = np.ones(stop - start)
        if start:
            weights[:fade] = np.linspace(0, 1, fade)
        if stop < samples:
            weights[-fade:] *= np.linspace(1, 0, fade)
        published[start:stop] += weights * (number + 1)
    levels = itertools.count(1)
    engine = FakeEngine(lambda batch: np.full((1, 4, 2, batch.shape[-1]), next(levels), np.float32))
    mechanism = replace(waveform(2, 0.0, excess=0), engine=engine, chunking=FadeChunking(485_100, fade))
    found = estimated(mechanism, np.ones((2, samples), np.float32))["drums"]
    assert np.abs(found - published).max() <= 1.01 / (fade - 1)


@settings(deadline=None, max_examples=40)
@given(samples=st.integers(1, 3_000), stride=st.integers(2, 700), fade=st.integers(0, 60), whole=st.booleans())
def test_cross_faded_and_whole_songs_come_back(samples: int, stride: int, fade: int, whole: bool) -> None:
    """The identity to float32 rounding, in pieces, whatever the segments."""
    grid = FadeChunking(stride, min(fade, stride - 1))
    mechanism = replace(waveform(2, 0.0, excess=7), chunking=WholeSong(grid) if whole else grid)
    mixture = song(samples)
    np.testing.assert_allclose(estimated(mechanism, mixture)["bass"], mixture, atol=2e-6)
    engine = mechanism.engine
    assert isinstance(engine, FakeEngine)
    assert len(engine.shapes) == (1 if whole else -(-samples // stride))
    assert engine.n_last == 1


def waveform(segment: int, overlap: float, *, excess: int = 10, normalisation: str = "none") -> WaveformMechanism:
    return WaveformMechanism(
        FakeEngine(lambda batch: np.repeat(batch[:, None], 4, axis=1)),
        DEMUCS_SOURCES,
        valid_length=lambda samples: samples + excess,
        chunking=OverlapChunking(segment, overlap),
        normalisation=normalisation,  # type: ignore[arg-type]
    )


@settings(deadline=None, max_examples=40)
@given(
    samples=st.integers(1, 3_000),
    segment=st.integers(2, 700),
    overlap=st.sampled_from([0.0, 0.25, 0.5]),
    excess=st.integers(0, 31),
    normalisation=st.sampled_from(["none", "joint", "mono"]),
)
def test_waveform_identity_returns_the_song(
    samples: int, segment: int, overlap: float, excess: int, normalisation: str
) -> None:
    """Weights sum to a positive constant after division, odd context is cut on the right side: 1e-5 of the peak."""
    mixture = song(samples)
    stems = estimated(waveform(segment, overlap, excess=excess, normalisation=normalisation), mixture)
    for source in ("drums", "vocals"):
        np.testing.assert_allclose(stems[source], mixture, atol=4e-5)


def test_waveform_segments_hear_the_song_around_them() -> None:
    heard: list[np.ndarray] = []
    mixture = song(1_000)
    engine = FakeEngine(lambda batch: (heard.append(batch[0].copy()), np.repeat(batch[:, None], 4, axis=1))[1])
    estimated(replace(waveform(400, 0.5, excess=51), engine=engine), mixture)
    padded = np.pad(mixture, ((0, 0), (25, 26)))
    assert [block.shape[1] for block in heard] == [451, 451, 451, 451, 251]
    for offset, block in zip((0, 200, 400, 600, 800), heard, strict=True):
        np.testing.assert_array_equal(block, padded[:, offset : offset + block.shape[1]])


def test_waveform_rows_are_named_not_counted() -> None:
    mechanism = WaveformMechanism(
        waveform_engine(),
        DEMUCS_SOURCES,
        valid_length=lambda samples: samples,
        chunking=OverlapChunking(100, 0.5),
        normalisation="none",
    )
    stems = estimated(mechanism, np.ones((2, 250), np.float32))
    assert stems["bass"].mean() == pytest.approx(0.08, abs=1e-6)
    assert stems["drums"].mean() == pytest.approx(0.18, abs=1e-6)


def test_a_probe_returns_its_share() -> None:
    assert waveform(1_000, 0.5, excess=0).probe_cost() == pytest.approx(0.05)


def test_probes_hear_the_song_where_it_sounds() -> None:
    heard: list[np.ndarray] = []

    def remembered(batch: np.ndarray) -> np.ndarray:
        heard.append(batch)
        return batch[:, None]

    mechanism = replace(waveform(1_000, 0.5, excess=10), engine=FakeEngine(remembered))
    samples = song(4_000)
    for mixture in (samples, 0 * samples, samples[:, :20]):
        with mixture_from_array(mixture, 44_100) as loaded:
            assert mechanism.probe_cost(loaded) == pytest.approx(60 / 1_010)
    np.testing.assert_allclose(heard[0][0], samples[:, 1_970:2_030], atol=1e-6)
    assert heard[1].any()
    np.testing.assert_allclose(heard[2][0, :, 20:40], samples[:, :20], atol=1e-6)
    assert not heard[2][..., :20].any()


@pytest.mark.parametrize("samples", [2, 3, 10, 1_764_000])
def test_triangle_is_the_published_one(samples: int) -> None:
    weight = triangle(samples)
    assert weight.shape == (samples,)
    assert weight.max() == 1
    assert weight.min() > 0
    if samples % 2 == 0:
        np.testing.assert_array_equal(weight, weight[::-1])
        assert weight[0] == np.float32(1 / (samples // 2))


def test_statistics_choose_the_published_normalisation() -> None:
    def mixture(**statistics: float) -> SimpleNamespace:
        return SimpleNamespace(statistics=MixtureStatistics(**statistics))

    loud = mixture(peak=1.0, joint_mean=0.1, joint_std=0.5, mono_mean=0.2, mono_std=0.4)
    assert mean_and_std(loud, "joint") == (0.1, 0.5)
    assert mean_and_std(loud, "mono") == (0.2, 0.4)
    assert mean_and_std(loud, "none") == (0.0, 1.0)
    assert mean_and_std(SimpleNamespace(), "none") == (0.0, 1.0)  # without a pass over the song
    cancelled = mixture(peak=1.0, joint_mean=0.1, joint_std=0.5, mono_mean=0.0, mono_std=1e-9)
    assert mean_and_std(cancelled, "mono") == (0.1, 0.5)
    silent = mixture(peak=0.0, joint_mean=0.0, joint_std=0.0, mono_mean=0.0, mono_std=0.0)
    assert mean_and_std(silent, "joint") == mean_and_std(silent, "mono") == (0.0, 1.0)


def test_mixer_is_the_matrix_in_the_published_order() -> None:
    rng = np.random.default_rng(5)
    matrix = rng.standard_normal((8, 10)).astype(np.float32)
    stems = {name: song(50, seed=index) for index, name in enumerate(MUSIC_SOURCES)}
    mixture = song(50, seed=9)
    rows = [stems[name][channel] for name in ("bass", "drums", "other", "vocals") for channel in (0, 1)]
    expected = matrix.astype(np.float64) @ np.stack([*rows, *mixture]).astype(np.float64)
    mixed = Mixer(matrix).mix(stems, mixture)
    got = np.concatenate([mixed[name] for name in MUSIC_SOURCES])
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_mixer_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match=r"\(8, 9\)"):
        Mixer(np.zeros((8, 9)))
    with pytest.raises(ValueError, match="NaN"):
        Mixer(np.full((8, 10), np.nan))
