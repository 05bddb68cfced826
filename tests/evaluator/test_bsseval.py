"""BSSEval v4: properties of the definition, then museval as the oracle, frame by frame."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evaluator.bsseval import FILTER_TAPS, RATIOS, BssEval, bsseval_v4, finite_median
from evaluator.projection import correlation_block_samples, correlations, gram_matrix, projection_filters
from evaluator.stem_mp4 import decode_stem_mp4
from tests.array_pair import ArrayPair

RATE = 4000
"""Frames of 4000 samples: the definition knows samples only, and the oracle is slow."""

PARITY_DB = 1e-3
"""What the evaluator promises; the differences seen are of the order of 1e-9 dB."""

SATURATION_DB = 100.0
"""Above this a ratio is rounding noise of the error signal in museval and here alike; both are clipped to it."""

SAMPLE_SONG = Path("../shared/data/mdx21-sample/Mu - Too Bright")


def coloured(rng: np.random.Generator, n_sources: int, n_channels: int, seconds: float) -> np.ndarray:
    """Sources of different spectra whose channels differ: (sources, channels, samples)."""
    n_samples = int(seconds * RATE)
    spectrum = np.fft.rfft(rng.standard_normal((n_sources, n_channels, n_samples)))
    bins = np.linspace(0, 1, spectrum.shape[-1])
    tilts = np.stack([np.exp(-3 * bins * k) + 0.01 for k in range(n_sources)])
    return np.asarray(0.1 * np.fft.irfft(spectrum * tilts[:, None], n_samples))


def separated(references: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Estimates with bleed, a little filtering and noise."""
    mixture = references.sum(axis=0)
    smeared = 0.8 * references + 0.1 * np.roll(references, 5, axis=-1)
    return np.asarray(smeared + 0.07 * mixture + 0.004 * rng.standard_normal(references.shape))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def museval_frames(references: np.ndarray, estimates: np.ndarray, rate: int = RATE) -> np.ndarray:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("museval cannot be imported without ffmpeg and ffprobe on PATH")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        museval = pytest.importorskip("museval", reason="museval, the oracle, is not installed")
        sides = [side.transpose(0, 2, 1) for side in (references, estimates)]
        with np.errstate(all="ignore"):
            return np.asarray(np.stack(museval.evaluate(*sides, win=rate, hop=rate)))


def assert_parity(ours: BssEval, theirs: np.ndarray, case: str) -> None:
    """Same NaN, same numbers; prints the largest difference of each ratio."""
    assert ours.frames.shape == theirs.shape
    np.testing.assert_array_equal(np.isnan(ours.frames), np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        difference = np.abs(np.minimum(ours.frames, SATURATION_DB) - np.minimum(theirs, SATURATION_DB))
    judged = np.where(np.isnan(difference), 0, difference)
    largest = judged.max(axis=(1, 2), initial=0)
    line = "  ".join(f"{name} {value:.1e}" for name, value in zip(RATIOS, largest, strict=True))
    print(f"{case}: {theirs.shape[2]} frames, max |ours - museval| in dB: {line}")
    assert largest.max() < PARITY_DB


Case = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


def stereo_song(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    references = coloured(rng, 2, 2, 5.3)
    return references, separated(references, rng)


def mono_song(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    references = coloured(rng, 3, 1, 4.0)
    return references, separated(references, rng)


def short_song(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    references = coloured(rng, 2, 2, 0.7)
    return references, separated(references, rng)


def silent_frame(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    references, estimates = stereo_song(rng)
    references[1, :, RATE : 2 * RATE] = 0
    estimates[0, :, 3 * RATE : 4 * RATE] = 0
    return references, estimates


def opposite_channels_in_a_frame(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    references, estimates = stereo_song(rng)
    references[0, 1, :RATE] = -references[0, 0, :RATE]
    return references, estimates


def delayed_estimate(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    references = coloured(rng, 2, 2, 4.0)
    estimates = np.zeros_like(references)
    estimates[..., 40:] = references[..., :-40]
    return references, estimates


def swapped_estimates(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    references = coloured(rng, 2, 2, 3.0)
    return references, separated(references, rng)[::-1]


def panned_to_the_middle(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One source with equal channels, one on the left only: without care a singular Gram matrix."""
    references, _ = stereo_song(rng)
    references[0, 1] = references[0, 0]
    references[1, 1] = 0
    return references, separated(references, rng)


def single_source(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    references = coloured(rng, 1, 2, 3.0)
    return references, separated(references, rng)


def band_limited(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Nothing above a third of the band but 16-bit rounding: a badly conditioned Gram matrix."""
    references, _ = stereo_song(rng)
    spectrum = np.fft.rfft(references)
    spectrum[..., spectrum.shape[-1] // 3 :] = 0
    references = np.round(np.fft.irfft(spectrum, references.shape[-1]) * 32768) / 32768
    return references, separated(references, rng)


CASES: list[Case] = [
    stereo_song,
    mono_song,
    short_song,
    silent_frame,
    opposite_channels_in_a_frame,
    delayed_estimate,
    swapped_estimates,
    single_source,
    panned_to_the_middle,
    band_limited,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_parity_with_museval(case: Case, rng: np.random.Generator) -> None:
    references, estimates = case(rng)
    ours = bsseval_v4(ArrayPair(references, estimates), window_samples=RATE)
    assert_parity(ours, museval_frames(references, estimates), case.__name__)


@pytest.mark.slow
def test_parity_with_museval_on_the_challenges_sample_song() -> None:
    if not SAMPLE_SONG.is_dir():
        pytest.skip("the optional reference folder ../shared/data is not here")
    sides, rate = [], 44_100
    mixture, rate = soundfile.read(SAMPLE_SONG / "mixture.wav")
    for source in ("bass", "drums", "other", "vocals"):
        sides.append(soundfile.read(SAMPLE_SONG / f"{source}.wav")[0].T[:, :rate])
    references = np.stack(sides)
    estimates = 0.8 * references + 0.05 * mixture.T[:, :rate]
    ours = bsseval_v4(ArrayPair(references, estimates), window_samples=rate // 2)
    assert_parity(ours, museval_frames(references, estimates, rate // 2), "mdx21-sample")


@pytest.mark.slow
def test_parity_with_museval_on_a_real_musdb_excerpt(tmp_path: Path) -> None:
    excerpts = [path for folder in sys.path for path in Path(folder).glob("stempeg/data/*Falcon 69.stem.mp4")]
    if not excerpts or shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("needs stempeg, which ships the excerpt, and ffmpeg and ffprobe on PATH")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # musdb leaves ffmpeg's pipes to the garbage collector
        files = decode_stem_mp4(excerpts[0], tmp_path)
    audio = {name: soundfile.read(path, stop=44_100)[0].T for name, path in files.items()}
    mixture = audio.pop("mixture")
    references = np.stack(list(audio.values()))
    estimates = 0.8 * references + 0.05 * mixture
    ours = bsseval_v4(ArrayPair(references, estimates), window_samples=22_050)
    assert_parity(ours, museval_frames(references, estimates, 22_050), "Falcon 69")


@pytest.mark.parametrize("side", [0, 1], ids=["reference", "estimate"])
def test_a_source_silent_throughout_is_left_out_and_named(side: int, rng: np.random.Generator) -> None:
    pair = mono_song(rng)
    without = [np.delete(signals, 1, axis=0) for signals in pair]
    pair[side][1] = 0
    result = bsseval_v4(ArrayPair(*pair), window_samples=RATE)
    assert (result.silent_references, result.silent_estimates) == [((1,), ()), ((), (1,))][side]
    assert np.isnan(result.frames[:, 1]).all()
    rest = bsseval_v4(ArrayPair(*without), window_samples=RATE)
    np.testing.assert_allclose(result.frames[:, [0, 2]], rest.frames, rtol=0, atol=1e-9)
    assert_parity(rest, museval_frames(without[0], without[1]), "without the silent source")


def test_a_song_of_silence_has_no_numbers() -> None:
    silence = np.zeros((2, 2, 3 * RATE))
    for sdr_only in (False, True):
        result = bsseval_v4(ArrayPair(silence, silence), window_samples=RATE, sdr_only=sdr_only)
        assert result.silent_references == (0, 1)
        assert np.isnan(result.frames).all()
        assert np.isnan(result.medians()).all()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_filterless_path_has_the_same_sdr_to_the_bit(case: Case, rng: np.random.Generator) -> None:
    pair = ArrayPair(*case(rng))
    full = bsseval_v4(pair, window_samples=RATE)
    alone = bsseval_v4(pair, window_samples=RATE, sdr_only=True)
    np.testing.assert_array_equal(alone.frames[0], full.frames[0])
    assert np.isnan(alone.frames[1:]).all()
    assert alone.silent_references == full.silent_references


def test_sdr_is_error_over_reference_in_each_frame(rng: np.random.Generator) -> None:
    references, estimates = stereo_song(rng)
    result = bsseval_v4(ArrayPair(references, estimates), window_samples=RATE, sdr_only=True)
    assert result.frames.shape == (4, 2, 5)
    r, e = references[1, :, 2 * RATE : 3 * RATE], estimates[1, :, 2 * RATE : 3 * RATE]
    assert abs(result.frames[0, 1, 2] - 10 * np.log10((r**2).sum() / ((r - e) ** 2).sum())) < 1e-10


def test_a_perfect_estimate_has_infinite_sdr_and_a_finite_median_ignores_it(rng: np.random.Generator) -> None:
    references, estimates = stereo_song(rng)
    estimates[:, :, :RATE] = references[:, :, :RATE]
    result = bsseval_v4(ArrayPair(references, estimates), window_samples=RATE, sdr_only=True)
    assert np.isposinf(result.frames[0, :, 0]).all()
    np.testing.assert_allclose(result.medians()[0], np.median(result.frames[0, :, 1:], axis=-1))


def test_filters_forgive_a_delay_that_sdr_does_not(rng: np.random.Generator) -> None:
    sdr, _, sir, sar = bsseval_v4(ArrayPair(*delayed_estimate(rng)), window_samples=RATE).medians()
    assert (sdr < 6).all()
    assert (sar > sdr + 10).all()  # the frame's edges are what is left
    assert (sir > sdr + 30).all()


def test_finite_median_of_nothing_is_nan() -> None:
    values = np.array([[np.nan, np.inf], [1.0, np.nan], [1.0, 3.0]])
    np.testing.assert_array_equal(finite_median(values), [np.nan, 1.0, 2.0])


@pytest.mark.parametrize("window", [0, -5])
def test_a_window_of_nothing_is_refused(window: int, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="windows"):
        bsseval_v4(ArrayPair(*mono_song(rng)), window_samples=window)


def test_arrays_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        ArrayPair(np.zeros((2, 2, 5)), np.zeros((2, 2, 6)))


@pytest.mark.parametrize("n_samples", [3, 15, 16, 100, 4081, 4082, 9000])
def test_correlations_equal_the_plain_sums(n_samples: int, rng: np.random.Generator) -> None:
    n_lags = 16
    references, estimates = rng.standard_normal((2, 3, n_samples))
    step = correlation_block_samples(n_lags)
    blocks = [(references[:, i : i + step], estimates[:, i : i + step]) for i in range(0, n_samples, step)]
    found = correlations(blocks, n_lags=n_lags)
    both = np.concatenate((references, estimates))
    expected = np.zeros((3, 6, n_lags))
    for lag in range(min(n_lags, n_samples)):
        expected[:, :, lag] = references[:, : n_samples - lag] @ both[:, lag:].T
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_no_blocks_is_an_error() -> None:
    with pytest.raises(ValueError, match="no blocks"):
        correlations([], n_lags=4)


def test_gram_matrix_is_that_of_the_delayed_references(rng: np.random.Generator) -> None:
    n_lags, signals = 5, rng.standard_normal((3, 40))
    delayed = np.stack([np.pad(signal, (i, n_lags - 1 - i)) for signal in signals for i in range(n_lags)])
    correlation = correlations([(signals, signals)], n_lags=n_lags)[:, :3]
    np.testing.assert_allclose(gram_matrix(correlation), delayed @ delayed.T, atol=1e-10)


@pytest.mark.parametrize("kind", ["free", "repeated", "scaled", "silent", "sum of two", "all but silent"])
def test_filters_solve_least_squares_even_when_references_depend(kind: str, rng: np.random.Generator) -> None:
    n_lags = 6
    a, b, estimate = rng.standard_normal((3, 300))
    third = {"free": rng.standard_normal(300), "repeated": a, "scaled": -0.37 * b, "silent": 0 * a}
    references = np.stack((a, b, third.get(kind, a + b)))
    if kind == "all but silent":
        references *= 1e-13
    filters = projection_filters(correlations([(references, estimate[None])], n_lags=n_lags), [0, 1, 2], [0])
    delayed = np.stack([np.pad(r, (i, n_lags - 1 - i)) for r in references for i in range(n_lags)])
    padded = np.pad(estimate, (0, n_lags - 1))
    best = np.linalg.lstsq(delayed.T, padded, rcond=None)[0] @ delayed
    found = filters[:, 0].reshape(-1) @ delayed
    if kind == "all but silent":  # below the ridge there is nothing to project on
        assert np.abs(found).max() < 1e-6
    else:
        np.testing.assert_allclose(found, best, atol=1e-6)


def test_the_filters_are_as_long_as_musevals() -> None:
    assert FILTER_TAPS == 512
