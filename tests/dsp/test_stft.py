"""The transform against torch's, and against what an ideal low-pass leaves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from my_submission.dsp.stft import from_channels, from_frames, hann_window, istft, stft, to_channels, to_frames
from my_submission.geometry import StftGeometry

PUBLISHED = [(16384, 2048), (4096, 2048), (8192, 2048), (6144, 2048)]


def snr_db(reference: np.ndarray, estimate: np.ndarray) -> float:
    reference = reference.astype(np.float64)
    return float(10 * np.log10(np.sum(reference**2) / np.sum((reference - estimate) ** 2)))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("n_fft", "kept_bins"), [*PUBLISHED, (64, 33), (60, 20)])
def test_forward_equals_torch(n_fft: int, kept_bins: int) -> None:
    hop = 1024 if n_fft > 1000 else 16
    geometry = StftGeometry(n_fft=n_fft, hop=hop, kept_bins=kept_bins)
    wave = noise(2, hop * 31)
    expected = torch.stft(
        torch.from_numpy(wave).double(),
        n_fft,
        hop,
        window=torch.hann_window(n_fft, dtype=torch.float64),
        center=True,
        return_complex=True,
    ).numpy()[:, :kept_bins]
    got = stft(wave, geometry)
    assert got.shape == (2, 32, kept_bins)
    assert snr_db(np.abs(expected), np.abs(expected) + np.abs(got.swapaxes(-1, -2) - expected)) > 120


@pytest.mark.parametrize(("n_fft", "kept_bins"), [*PUBLISHED, (64, 33), (60, 20)])
def test_inverse_equals_torch(n_fft: int, kept_bins: int) -> None:
    hop = 1024 if n_fft > 1000 else 16
    geometry = StftGeometry(n_fft=n_fft, hop=hop, kept_bins=kept_bins)
    spectrum = (noise(2, 32, kept_bins) + 1j * noise(2, 32, kept_bins, seed=1)).astype(np.complex64)
    full = np.zeros((2, n_fft // 2 + 1, 32), dtype=np.complex128)
    full[:, :kept_bins] = spectrum.swapaxes(-1, -2)
    window = torch.hann_window(n_fft, dtype=torch.float64)
    expected = torch.istft(torch.from_numpy(full), n_fft, hop, window=window, center=True).numpy()
    got = istft(spectrum, geometry)
    assert got.shape == (2, hop * 31)
    assert snr_db(expected, got) > 115


def test_inverse_undoes_forward_when_all_bins_are_kept() -> None:
    geometry = StftGeometry(n_fft=4096, hop=1024, kept_bins=2049)
    wave = noise(3, 2, 1024 * 20)
    assert snr_db(wave, from_channels(to_channels(wave, geometry), geometry)) > 120


@pytest.mark.parametrize(("n_fft", "kept_bins"), PUBLISHED)
def test_cut_off_is_a_low_pass(n_fft: int, kept_bins: int) -> None:
    """A tone below the cutoff survives (60 dB), a tone well above it is gone (60 dB)."""
    geometry = StftGeometry(n_fft=n_fft, hop=1024, kept_bins=kept_bins)
    time = np.arange(1024 * 63) / 44_100
    middle = slice(n_fft, -n_fft)
    below = np.sin(2 * np.pi * 0.5 * geometry.cutoff_hz * time).astype(np.float32)
    passed = istft(stft(below, geometry), geometry)
    assert snr_db(below[middle], passed[middle]) > 60
    if geometry.cutoff_hz < 20_000:
        above = np.sin(2 * np.pi * 1.2 * geometry.cutoff_hz * time).astype(np.float32)
        leaked = istft(stft(above, geometry), geometry)
        assert np.sum(leaked[middle] ** 2) < 1e-6 * np.sum(above[middle] ** 2)


def test_published_cutoffs() -> None:
    cutoffs = [StftGeometry(n_fft=n, hop=1024, kept_bins=2048).cutoff_hz for n in (16384, 4096, 8192, 6144)]
    assert cutoffs == [5512.5, 22050.0, 11025.0, 14700.0]


def test_channel_order_is_left_real_left_imaginary_right_real_right_imaginary() -> None:
    geometry = StftGeometry(n_fft=64, hop=16, kept_bins=20)
    wave = noise(1, 2, 16 * 15)
    channels = to_channels(wave, geometry)
    spectrum = stft(wave, geometry)[0].swapaxes(-1, -2)
    expected = [spectrum[0].real, spectrum[0].imag, spectrum[1].real, spectrum[1].imag]
    np.testing.assert_array_equal(channels[0], np.stack(expected))


def test_input_is_left_alone() -> None:
    geometry = StftGeometry(n_fft=64, hop=16, kept_bins=20)
    wave = noise(1, 2, 16 * 15)
    before = wave.copy()
    channels = to_channels(wave, geometry)
    channels_before = channels.copy()
    from_channels(channels, geometry)
    np.testing.assert_array_equal(wave, before)
    np.testing.assert_array_equal(channels, channels_before)
    with pytest.raises(ValueError, match="read-only"):
        hann_window(64)[0] = 1


def test_too_short_to_reflect_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        stft(noise(2, 32), StftGeometry(n_fft=64, hop=16, kept_bins=33))


@pytest.mark.parametrize(
    "bad",
    [
        {"n_fft": 63, "hop": 16, "kept_bins": 8},
        {"n_fft": 64, "hop": 33, "kept_bins": 8},
        {"n_fft": 64, "hop": 16, "kept_bins": 34},
    ],
)
def test_geometry_refuses_nonsense(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="="):
        StftGeometry(**bad)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_frame_major_is_the_same_transform(workers: int) -> None:
    """To the bit the published layout with two axes swapped, however many threads there are."""
    geometry = StftGeometry(n_fft=1024, hop=128, kept_bins=300)
    waves = noise(3, 2, 128 * 40)
    frames = to_frames(waves, geometry, workers=workers)
    assert frames.shape == (3, 4, 41, 300)
    np.testing.assert_array_equal(frames, to_channels(waves, geometry).swapaxes(-1, -2))
    back = from_frames(frames, geometry, workers=workers)
    np.testing.assert_array_equal(back, from_channels(to_channels(waves, geometry), geometry))
