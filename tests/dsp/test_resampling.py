"""Resampling against soxr on whole arrays, exact lengths, and the round trip."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import soxr

from my_submission.dsp.resampling import StreamResampler, resample, resampled_length
from tests.audio_fixtures import noise, sines, snr_db

RATES = [(48_000, 44_100), (44_100, 48_000), (96_000, 44_100), (8_000, 44_100), (44_100, 192_000), (44_101, 44_100)]


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
@pytest.mark.parametrize("samples", [0, 1, 2, 1_000, 44_100, 100_001])
def test_length_is_rounded_up(from_rate: int, to_rate: int, samples: int) -> None:
    expected = math.ceil(Fraction(samples * to_rate, from_rate))
    assert resampled_length(samples, from_rate, to_rate) == expected
    assert resample(noise(2, samples), from_rate, to_rate).shape == (2, expected)


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
def test_equals_soxr_on_the_whole_signal(from_rate: int, to_rate: int) -> None:
    wave = noise(2, 50_000)
    reference = soxr.resample(wave.T, from_rate, to_rate, quality="VHQ").T
    got = resample(wave, from_rate, to_rate)
    assert got.dtype == np.float32
    common = min(reference.shape[1], got.shape[1])
    assert got.shape[1] - reference.shape[1] in (0, 1)  # soxr rounds, we round up
    assert np.array_equal(got[:, :common], reference[:, :common])


@pytest.mark.parametrize("block", [1_000, 7_777, 60_000])
@pytest.mark.parametrize("asked", [None, 45_000, 46_000, 10])
def test_streaming_gives_the_same_bits(block: int, asked: int | None) -> None:
    wave = noise(2, 50_000)
    stream = StreamResampler(48_000, 44_100, channels=2, samples=asked)
    parts = [stream.push(wave[:, start : start + block]) for start in range(0, wave.shape[1], block)]
    got = np.concatenate([*parts, stream.finish()], axis=1)
    assert got.shape[1] == (asked or resampled_length(50_000, 48_000, 44_100))
    assert np.array_equal(got, resample(wave, 48_000, 44_100, samples=asked))


def test_round_trip_keeps_length_time_and_content() -> None:
    original = sines(96_001, 48_000)
    there = resample(original, 48_000, 44_100)
    back = resample(there, 44_100, 48_000, samples=96_001)
    assert back.shape == original.shape
    inner = slice(2_000, -2_000)  # the ends ring, because the signal begins and stops at full level
    assert snr_db(original[:, inner], back[:, inner]) > 90


def test_no_delay() -> None:
    pulse = np.zeros((1, 9_600), np.float32)
    pulse[0, 4_800] = 1  # at 0.1 s
    assert int(np.abs(resample(pulse, 48_000, 44_100)).argmax()) == 4_410


def test_same_rate_is_a_copy_of_the_asked_length() -> None:
    wave = noise(2, 100)
    for samples in (None, 40, 130):
        got = resample(wave, 44_100, 44_100, samples=samples)
        length = samples or 100
        assert got.shape == (2, length)
        assert np.array_equal(got[:, :100], wave[:, :length])
        assert not got[:, 100:].any()
        assert not np.shares_memory(got, wave)


def test_input_is_not_changed_and_longer_output_is_zero() -> None:
    wave = noise(1, 4_800)
    before = wave.copy()
    got = resample(wave, 48_000, 44_100, samples=6_000)
    assert np.array_equal(wave, before)
    assert got.shape == (1, 6_000)
    assert not got[:, 5_000:].any()


def test_nothing_in_nothing_out() -> None:
    stream = StreamResampler(48_000, 44_100, channels=2)
    assert stream.push(np.zeros((2, 0), np.float32)).shape == (2, 0)
    assert stream.finish().shape == (2, 0)


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 Hz"):
        StreamResampler(0, 44_100, channels=2)
    with pytest.raises(ValueError, match="channels=0"):
        StreamResampler(48_000, 44_100, channels=0)
    with pytest.raises(ValueError, match="samples=-1"):
        StreamResampler(48_000, 44_100, channels=1, samples=-1)
    with pytest.raises(ValueError, match="samples=-1"):
        resampled_length(-1, 48_000, 44_100)
    with pytest.raises(ValueError, match="shape"):
        resample(np.zeros(10, np.float32), 48_000, 44_100)
    stream = StreamResampler(48_000, 44_100, channels=2)
    with pytest.raises(ValueError, match="shape"):
        stream.push(np.zeros((1, 10), np.float32))
    stream.finish()
    with pytest.raises(ValueError, match="finished"):
        stream.push(np.zeros((2, 10), np.float32))
    with pytest.raises(ValueError, match="finished"):
        stream.finish()
