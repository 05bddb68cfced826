"""Outline, spectrogram, loudness and levels of a signal: against definitions and an independent meter."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pyloudnorm
import pytest

from my_submission.dsp.envelope import BinnedEnvelope, Envelope
from my_submission.dsp.log_spectrogram import FLOOR_DB
from my_submission.dsp.loudness import LoudnessMeter
from my_submission.dsp.overview import overview_of, residual_db
from tests.audio_fixtures import Wave, noise


def blocks_of(wave: Wave, size: int = 9_973) -> Iterator[Wave]:
    for start in range(0, wave.shape[1], size):
        yield wave[:, start : start + size]


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_is_that_of_pyloudnorm(rate: int, channels: int) -> None:
    """Within 0.01 LU, for a signal that both gates cut into; pyloudnorm holds the whole signal, we do not."""
    wave = noise(channels, int(6.3 * rate), seed=rate) * np.geomspace(1e-5, 3, int(6.3 * rate)).astype(np.float32)
    expected = pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(wave.T.astype(float))
    found = overview_of(blocks_of(wave), rate, wave.shape[1]).loudness_lufs
    assert found == pytest.approx(expected, abs=0.01)


def test_loudness_of_the_recommendation_s_sine() -> None:
    """BS.1770: a 997-Hz sine at full scale in one channel reads −3.01 LUFS; EBU Tech 3341 allows 0.1 LU."""
    time = np.arange(5 * 48_000) / 48_000
    meter = LoudnessMeter(48_000, channels=1)
    meter.push(np.sin(2 * np.pi * 997 * time)[None].astype(np.float32))
    assert meter.integrated() == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize("wave", [np.zeros((2, 44_100), np.float32), noise(2, 17_000)], ids=["silence", "under 400 ms"])
def test_loudness_that_does_not_exist(wave: Wave) -> None:
    assert overview_of(blocks_of(wave), 44_100, wave.shape[1]).loudness_lufs is None


@pytest.mark.parametrize("samples", [1, 2, 999, 1_000, 1_001, 50_000])
def test_envelope_holds_the_extremes_of_every_column(samples: int) -> None:
    wave = noise(2, samples, seed=samples)
    envelope = overview_of(blocks_of(wave, 777), 44_100, samples).envelope
    columns = len(envelope.low)
    assert columns == min(1_000, samples)
    column = np.arange(samples) * columns // samples
    assert envelope.low.tolist() == [wave[:, column == c].min() for c in range(columns)]
    assert envelope.high.tolist() == [wave[:, column == c].max() for c in range(columns)]


@pytest.mark.parametrize("samples", [1, 255, 256, 257, 10_000])
@pytest.mark.parametrize("size", [1, 100, 256, 3_000])
def test_binned_envelope_holds_the_extremes_of_every_bin(samples: int, size: int) -> None:
    """Whatever the lengths of the blocks; the last bin is shorter."""
    wave = noise(2, samples, seed=samples)
    envelope = BinnedEnvelope(256)
    parts = [*(envelope.push(block) for block in blocks_of(wave, size)), envelope.finish(), envelope.finish()]
    bins = [wave[:, start : start + 256] for start in range(0, samples, 256)]
    assert np.concatenate([part.low for part in parts]).tolist() == [each.min() for each in bins]
    assert np.concatenate([part.high for part in parts]).tolist() == [each.max() for each in bins]


def test_pairs_of_an_envelope_are_clipped_int16() -> None:
    low, high = np.array([-0.5, -3.0, np.nan], np.float32), np.array([0.25, 2.0, np.inf], np.float32)
    pairs = Envelope(low, high).as_pairs(16_384)
    assert pairs.dtype == np.dtype("<i2")
    assert pairs.tolist() == [[-8_192, 4_096], [-32_768, 32_767], [0, 32_767]]


def test_overview_has_peak_rms_and_samples_beyond_full_scale() -> None:
    wave = np.array([[0.5, -1.5, 1.0, 0.0], [0.0, 0.0, 1.25, 0.0]], np.float32)
    overview = overview_of(blocks_of(wave, 3), 44_100, 4)
    assert (overview.peak, overview.beyond_full_scale) == (1.5, 2)
    assert overview.rms == pytest.approx(np.sqrt(np.mean(np.square(wave))))


@pytest.mark.parametrize("seconds", [0.5, 7.0])
def test_spectrogram_shows_a_sine_where_and_when_it_sounds(seconds: float) -> None:
    rate, hz = 44_100, 1_000.0
    samples = int(seconds * rate)
    wave = np.zeros((2, samples), np.float32)
    half = samples // 2
    wave[:, half:] = 0.5 * np.sin(2 * np.pi * hz * np.arange(samples - half) / rate)
    power = overview_of(blocks_of(wave), rate, samples).power
    columns = power.decibels.shape[1]
    middle = power.decibels[:, 3 * columns // 4]
    assert abs(power.frequencies_hz[middle.argmax()] - hz) < rate / 4096
    assert middle.max() == pytest.approx(20 * math.log10(0.5), abs=1.5)  # scalloping of a Hann window: 1.42 dB
    assert np.all(power.decibels[:, : columns // 5] == FLOOR_DB)
    on_log = power.on_log_frequencies(30, rate / 2, rows=400)
    loudest = on_log.frequencies_hz[on_log.decibels[:, 3 * columns // 4].argmax()]
    assert loudest == pytest.approx(hz, rel=0.02)


def test_spectrogram_is_bounded_and_does_not_depend_on_the_blocks() -> None:
    wave = noise(2, 300_000)
    at_once = overview_of([wave], 44_100, 300_000).power.decibels
    in_blocks = overview_of(blocks_of(wave, 1_237), 44_100, 300_000).power.decibels
    assert at_once.shape == (2_049, 1_000)
    np.testing.assert_allclose(at_once, in_blocks, atol=1e-3)


def test_opposite_channels_do_not_cancel() -> None:
    left = noise(1, 40_000)
    power = overview_of([np.concatenate([left, -left])], 44_100, 40_000).power.decibels
    alone = overview_of([left], 44_100, 40_000).power.decibels
    np.testing.assert_allclose(power, alone, atol=1e-3)


def test_residual() -> None:
    mixture = noise(2, 10_000)
    half = (mixture / 2).astype(np.float32)
    assert residual_db(blocks_of(mixture), [blocks_of(half), blocks_of(half)]) == -math.inf
    assert residual_db(blocks_of(mixture), [blocks_of(half)]) == pytest.approx(-6.02, abs=0.01)
    assert residual_db(blocks_of(mixture[:1]), [blocks_of(np.repeat(mixture[:1], 2, axis=0))]) == -math.inf
    assert residual_db(blocks_of(0 * mixture), [blocks_of(half)]) is None
