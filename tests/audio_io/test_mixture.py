"""Mixtures: the working rate, the statistics Demucs needs, growth of unknown lengths, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.audio_io import DiskStore, MemoryStore, Mixture, load_mixture, mixture, mixture_from_array
from my_submission.audio_io.statistics import Moments
from my_submission.dsp.resampling import resample
from my_submission.errors import InputError, OutputError
from tests.audio_fixtures import noise, sines, snr_db, write_audio, write_media

TOLERANCE = 1e-9


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks even for short songs."""
    monkeypatch.setattr(mixture, "BLOCK_SAMPLES", 4_096)


def content(song: Mixture) -> np.ndarray:
    return song.store.read(0, song.samples)


def check_statistics(song: Mixture) -> None:
    values = content(song).astype(np.float64)
    mono = values.mean(axis=0)
    got = song.statistics
    assert got.peak == np.abs(values).max()
    expected = (values.mean(), values.std(ddof=1), mono.mean(), mono.std(ddof=1) if mono.size > 1 else 0.0)
    assert (got.joint_mean, got.joint_std, got.mono_mean, got.mono_std) == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize("is_on_disk", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_at_the_working_rate_is_taken_as_it_is(tmp_path: Path, channels: int, is_on_disk: bool) -> None:
    wave = noise(channels, 20_001) + np.float32(0.3)
    path = write_audio(tmp_path / "a.wav", wave, subtype="FLOAT")
    with load_mixture(path, scratch_dir=tmp_path if is_on_disk else None) as song:
        assert isinstance(song.store, DiskStore if is_on_disk else MemoryStore)
        assert (song.samples, song.source_samples, song.source_rate) == (20_001, 20_001, 44_100)
        assert (song.source_channels, song.path) == (channels, path)
        assert np.array_equal(content(song), np.broadcast_to(wave, (2, 20_001)))
        check_statistics(song)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("rate", [48_000, 8_000, 96_000])
def test_other_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    wave = noise(2, 20_001)
    path = write_audio(tmp_path / "a.wav", wave, rate, subtype="FLOAT")
    with load_mixture(path, scratch_dir=tmp_path) as song:
        assert np.array_equal(content(song), resample(wave, rate, 44_100))
        assert (song.source_rate, song.source_samples) == (rate, 20_001)
        check_statistics(song)


def test_a_song_is_resampled_to_the_working_rate(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", noise(1, 8_000), 8_000)
    with load_mixture(path, scratch_dir=None, working_rate=lambda _: 16_000) as song:
        assert song.samples == 16_000


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_a_length_known_only_by_decoding(tmp_path: Path, is_on_disk: bool) -> None:
    wave = sines(100_000, 44_100, (440.0,))
    path = write_media(tmp_path / "a.m4a", [wave], codec="aac")
    with load_mixture(path, scratch_dir=tmp_path if is_on_disk else None) as song:
        assert song.samples == song.store.samples == song.source_samples >= 100_000
        assert snr_db(wave[:, 5_000:90_000], content(song)[:, 5_000:90_000]) > 20
        check_statistics(song)


@pytest.mark.parametrize("rate", [44_100, 96_000, 8_000])
@pytest.mark.parametrize("samples", [1, 2])
def test_the_shortest_songs(tmp_path: Path, rate: int, samples: int) -> None:
    wave = np.full((1, samples), 0.5, np.float32)
    path = write_audio(tmp_path / "a.wav", wave, rate, subtype="FLOAT")
    with load_mixture(path, scratch_dir=tmp_path) as song:
        assert song.samples >= 1
        check_statistics(song)
        if song.samples == 1:
            assert song.statistics.mono_std == 0


def test_silence_and_loud_floats(tmp_path: Path) -> None:
    with load_mixture(write_audio(tmp_path / "a.wav", np.zeros((2, 5_000), np.float32)), scratch_dir=None) as song:
        assert song.statistics.peak == song.statistics.joint_std == 0
    loud = noise(2, 5_000, level=100)
    with load_mixture(write_audio(tmp_path / "b.wav", loud, subtype="FLOAT"), scratch_dir=None) as song:
        assert np.array_equal(content(song), loud)


def test_moments_keep_their_digits() -> None:
    values = np.random.default_rng(0).standard_normal(30_000) * 1e-4 + 1_000
    moments = Moments()
    for block in np.split(values, [1, 10, 4_000, 4_000, 20_000]):
        moments.add(block)
    assert moments.mean == pytest.approx(values.mean(), rel=1e-14)
    assert moments.std == pytest.approx(values.std(ddof=1), rel=1e-9)
    assert moments.count == 30_000


@pytest.mark.parametrize("channels", [3, 6])
def test_more_than_two_channels_are_refused(tmp_path: Path, channels: int) -> None:
    path = write_audio(tmp_path / "surround mix.wav", noise(channels, 100))
    with pytest.raises(InputError) as caught:
        load_mixture(path, scratch_dir=None)
    assert str(caught.value) == (
        f"{path}: {channels} channels where 1 or 2 are expected. "
        "Use --downmix (in Python: ReadOptions(downmix=True)), or downmix to stereo first: "
        "ffmpeg -i 'surround mix.wav' -ac 2 'surround mix stereo.wav'."
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_bad_samples_are_refused_with_their_time(tmp_path: Path, bad: float, rate: int) -> None:
    wave = noise(2, 20_000)
    wave[1, 12_000], wave[0, 15_000] = bad, bad
    path = write_audio(tmp_path / "a.wav", wave, rate, subtype="FLOAT")
    with pytest.raises(InputError) as caught:
        load_mixture(path, scratch_dir=tmp_path)
    assert caught.value.where == str(path)
    assert f"at {12_000 / rate:.6f} s (sample 12000)" in caught.value.problem
    assert "export the song again" in str(caught.value.hint)
    with pytest.raises(InputError, match="sample 12000"):
        mixture_from_array(wave, rate)


def test_doubles_too_large_for_single_precision_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full((100, 2), 1e300), 44_100, subtype="DOUBLE")
    with pytest.raises(InputError, match=r"NaN or infinity at 0\.000000 s"):
        load_mixture(path, scratch_dir=None)
    with pytest.raises(InputError, match="NaN or infinity"):
        mixture_from_array(np.full((2, 100), 1e300), 44_100)


def test_a_store_is_closed_when_decoding_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(DiskStore, "close", lambda self: closed.append(self) or self._file.close())
    wave = noise(2, 20_000)
    wave[0, 12_000] = np.nan
    path = write_audio(tmp_path / "a.wav", wave, subtype="FLOAT")
    with pytest.raises(InputError, match="NaN"):
        load_mixture(path, scratch_dir=tmp_path)
    assert len(closed) == 1


def test_a_missing_scratch_folder_is_an_output_error(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", noise(2, 100))
    with pytest.raises(OutputError, match="800 bytes"):
        load_mixture(path, scratch_dir=tmp_path / "missing")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(2, 10_000), (1, 10_000), (10_000,), (2, 2), (1, 1)])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_an_array_becomes_stereo_at_44_1_khz_and_is_not_changed(dtype: type, shape: tuple[int, ...], rate: int) -> None:
    array = noise(1, int(np.prod(shape))).reshape(shape).astype(dtype)
    before = array.copy()
    song = mixture_from_array(array, rate)
    expected = resample(np.atleast_2d(before).astype(np.float32), rate, 44_100)
    assert np.array_equal(content(song), np.broadcast_to(expected, (2, expected.shape[1])))
    assert (song.path, song.source_rate, song.source_samples) == (None, rate, shape[-1])
    assert song.source_channels == (shape[0] if len(shape) == 2 else 1)
    check_statistics(song)
    song.store.write(0, np.ones((2, 1), np.float32))
    assert np.array_equal(array, before)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((100, 2), np.float32), r"looks like \(samples, channels\). Transpose it"),
        (np.zeros((100, 1)), "Transpose it"),
        (np.zeros((6, 100)), "6 channels where 1 or 2 are expected. Downmix to stereo first"),
        (np.zeros((2, 100), np.int16), "has the type int16, not floating point. Scale integers"),
        (np.zeros((2, 100), np.complex64), "complex64"),
        (np.zeros((1, 2, 100)), "one song at a time"),
        (np.zeros((2, 0)), "no samples"),
        (np.float32(3), "shape"),
    ],
)
def test_unusable_arrays_are_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mixture_from_array(array, 44_100)


def test_an_impossible_rate_is_refused() -> None:
    with pytest.raises(InputError, match="0 Hz"):
        mixture_from_array(np.zeros((2, 10)), 0)
