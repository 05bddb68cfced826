"""Spectrograms in stretches, masks faded into each other, and the Wiener filter over a whole song of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from my_submission.audio_io import mixture_from_array
from my_submission.dsp.song_frames import SongFrames
from my_submission.dsp.stft import istft, stft
from my_submission.dsp.wiener import WienerSettings
from my_submission.engines.fake_engine import FakeEngine
from my_submission.geometry import FrameChunking, StftGeometry
from my_submission.mechanisms import MaskingMechanism
from my_submission.mechanisms.masking import MASK_ONLY
from tests.rigs import estimated
from tests.whole_files import wiener

STFT = StftGeometry(256, 64, 129)
WHOLE = FrameChunking(10_000)


def song(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, samples)).astype(np.float32)


def masking(function=lambda batch: 0.5 * np.ones_like(batch), sources=("music",), **more) -> MaskingMechanism:
    return MaskingMechanism(sources, FakeEngine(function), **{"stft": STFT, "chunking": WHOLE, **more})


def separated(separator: MaskingMechanism, mixture: np.ndarray) -> dict[str, np.ndarray]:
    return estimated(separator, mixture)


@settings(deadline=None, max_examples=60)
@given(samples=st.integers(1, 3_000), cut=st.integers(0, 50), width=st.integers(1, 20))
def test_stretches_are_those_of_the_whole_transform(samples: int, cut: int, width: int) -> None:
    """Also where the song ends in the middle of a hop; songs too short to reflect are padded. To the bit."""
    waveform = song(samples)
    padded = np.pad(waveform, ((0, 0), (0, max(0, 129 - samples))))
    whole = stft(padded, STFT)
    store = mixture_from_array(waveform, 44_100).store
    frames = SongFrames(store.read, samples, STFT)
    assert frames.count == whole.shape[1]
    first = min(cut, frames.count - 1)
    last = min(first + width, frames.count)
    np.testing.assert_array_equal(frames.spectrum(first, last), whole[:, first:last])


@settings(deadline=None, max_examples=60)
@given(samples=st.integers(1, 3_000), cut=st.integers(0, 2_999), width=st.integers(1, 900))
def test_samples_come_back_from_the_frames_they_depend_on(samples: int, cut: int, width: int) -> None:
    """The whole inverse, silent behind the last frame's centre. Float32 rounding."""
    rng = np.random.default_rng(samples)
    frames = SongFrames(lambda start, stop: song(stop - start), samples, STFT)
    spectrum = (rng.standard_normal((2, frames.count, 129)) + 1j * rng.standard_normal((2, frames.count, 129))).astype(
        np.complex64
    )
    whole = np.pad(istft(spectrum, STFT), ((0, 0), (0, samples)))[:, :samples] if frames.count > 1 else None
    start = min(cut, samples - 1)
    stop = min(start + width, samples)
    first, last = frames.frames_of(start, stop)
    found = frames.waveform(spectrum[:, first:last], first, start, stop)
    assert whole is not None
    np.testing.assert_allclose(found, whole[:, start:stop], atol=1e-5)
    assert frames.frames_of(0, max(1, frames.samples_of(5)))[1] >= 5 or frames.count < 5


@pytest.mark.parametrize("samples", [1, 64, 100, 128, 129, 5_000, 300_001])
def test_a_mask_of_one_half_gives_half_the_mixture(samples: int) -> None:
    """Behind the last frame's centre there is silence; the rest is exact to float32 rounding."""
    mixture = song(samples)
    music = separated(masking(), mixture)["music"]
    whole = max(samples, 129) // 64 * 64
    np.testing.assert_allclose(music[:, :whole], mixture[:, :whole] / 2, atol=1e-5)
    np.testing.assert_array_equal(music[:, whole:], 0)


@pytest.mark.parametrize(
    "chunking", [FrameChunking(40, 10), FrameChunking(33), FrameChunking(1), FrameChunking(20, 10)]
)
@pytest.mark.parametrize("settings_", [MASK_ONLY, WienerSettings(), WienerSettings(True, False, 2)])
def test_stretches_give_what_the_whole_song_gives(chunking: FrameChunking, settings_: WienerSettings) -> None:
    """Of a network that looks at one frame at a time; the filter looks at all of the song in both cases."""
    mixture = song(20_000)

    def by_frame(batch: np.ndarray) -> np.ndarray:
        return (1 / (1 + batch.mean(axis=2, keepdims=True) / batch)).astype(np.float32)

    whole = separated(masking(by_frame, wiener=settings_, is_whole=True), mixture)["music"]
    cut = separated(masking(by_frame, wiener=settings_, chunking=chunking), mixture)["music"]
    np.testing.assert_allclose(cut, whole, atol=2e-5)


def test_the_filter_is_that_of_the_whole_song() -> None:
    """Against one transform, one call of the filter and one inverse. Several sources, no residual; float32 rounding."""
    mixture = song(20_000)
    names = ("drums", "bass")

    def two(batch: np.ndarray) -> np.ndarray:
        share = (batch / (1 + batch)).astype(np.float32)
        return np.stack([share, 0.7 * (1 - share)], axis=1)

    chosen = WienerSettings(has_residual=False)
    found = separated(masking(two, names, wiener=chosen, chunking=FrameChunking(50, 10)), mixture)
    spectrum = stft(mixture, STFT)
    masks = two(np.abs(spectrum)[None])[0]
    expected = istft(wiener(masks, spectrum, chosen), STFT)
    for name, stem in zip(names, expected, strict=True):
        np.testing.assert_allclose(found[name][:, : stem.shape[1]], stem, atol=2e-5)


def test_masks_fade_into_each_other() -> None:
    """Stretches whose masks are constants: no step is larger than the fade's own slope."""
    levels = itertools.cycle((0.0, 1.0))
    tone = np.ones((2, 64 * 100), np.float32)
    separator = masking(lambda batch: np.full_like(batch, next(levels)), chunking=FrameChunking(30, 10))
    music = separated(separator, tone)["music"]
    assert np.abs(np.diff(music[:, : 64 * 100])).max() <= 1.5 / 11 / 64 * 2
    assert music.max() > 0.99


def test_the_network_sees_magnitudes_bins_before_frames() -> None:
    seen: list[np.ndarray] = []
    mixture = song(5_000)
    separator = masking(
        lambda batch: (seen.append(batch.copy()), np.ones_like(batch))[1], chunking=FrameChunking(30, 5)
    )
    separated(separator, mixture)
    magnitudes = np.abs(stft(mixture, STFT)).swapaxes(-1, -2)
    spans = [(0, 30), (25, 55), (50, 79)]
    assert [batch.shape for batch in seen] == [(1, 2, 129, stop - start) for start, stop in spans]
    for (start, stop), batch in zip(spans, seen, strict=True):
        np.testing.assert_array_equal(batch[0], magnitudes[..., start:stop])
    assert isinstance(separator.engine, FakeEngine)
    assert separator.engine.n_last == 1


@pytest.mark.parametrize("frames", [1, 29, 30, 31, 55, 56, 1_000])
def test_stretches_cover_the_song_and_no_more(frames: int) -> None:
    spans = FrameChunking(30, 5).spans(frames)
    assert (spans[0][0], spans[-1][1]) == (0, frames)
    for before, after in itertools.pairwise(spans):
        assert before[1] - after[0] == 5
        assert after[1] > before[1]
    for wrong in ((10, 6), (0, 0), (5, -1)):
        with pytest.raises(ValueError, match="overlap_frames"):
            FrameChunking(*wrong)


def test_a_probe_is_a_second_of_a_stretch() -> None:
    assert masking(chunking=FrameChunking(430)).probe_cost() == pytest.approx(0.1)
