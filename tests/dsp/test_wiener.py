"""Multichannel Wiener filtering: what masks of one and one half give, norbert, blocks, the published vectors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from my_submission.dsp.wiener import WienerFilter, WienerSettings
from tests.reference_vectors import reference_vectors
from tests.whole_files import wiener

FRAMES, BINS = 40, 33


def spectra(channels: int, *, loud: float = 3.0, seed: int = 0) -> np.ndarray:
    """complex64 (channels, frames, bins), channels partly alike, nowhere near silence."""
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((2, channels + 1, FRAMES, BINS))
    noise = parts[0] + 1j * parts[1]
    return (loud * (noise[1:] + noise[:1])).astype(np.complex64)


def masks(targets: int, channels: int, *, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (targets, channels, FRAMES, BINS)).astype(np.float32)


def by_blocks(mask: np.ndarray, mixture: np.ndarray, settings: WienerSettings, *cuts: int) -> np.ndarray:
    """The two-pass way, over blocks of frames that end at ``cuts``."""
    bounds = list(zip((0, *cuts), (*cuts, mixture.shape[1]), strict=True))
    learned = WienerFilter(len(mask), len(mixture), mixture.shape[-1], settings)
    for _ in range(settings.iterations):
        for start, stop in bounds:
            learned.learn(mask[:, :, start:stop], mixture[:, start:stop])
        learned.finish_pass()
    blocks = [learned.apply(mask[:, :, start:stop], mixture[:, start:stop]) for start, stop in bounds]
    return np.concatenate(blocks, axis=2)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("iterations", [1, 2])
def test_a_mask_of_one_returns_the_mixture_and_no_residual(channels: int, iterations: int) -> None:
    """To the guard on the diagonal, √eps = 1.5e-8 of a power near one."""
    mixture = spectra(channels)
    whole = np.ones((1, *mixture.shape), np.float32)
    target, residual = by_blocks(whole, mixture, WienerSettings(iterations=iterations))
    np.testing.assert_allclose(target, mixture, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(residual, 0)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_mask_of_one_half_gives_two_equal_halves(channels: int) -> None:
    mixture = spectra(channels)
    half = np.full((1, *mixture.shape), 0.5, np.float32)
    target, residual = by_blocks(half, mixture, WienerSettings())
    np.testing.assert_allclose(target, residual, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(target, mixture / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (2, 5, 1), (1, 1, 7)])
def test_single_frames_and_bins_are_filtered(shape: tuple[int, ...]) -> None:
    mixture = np.full(shape, 2 - 1j, np.complex64)
    target, residual = wiener(np.full((1, *shape), 0.5, np.float32), mixture, WienerSettings())
    np.testing.assert_allclose(target + residual, mixture, rtol=1e-5)


def test_silence_stays_silent_and_finite() -> None:
    silent = np.zeros((2, FRAMES, BINS), np.complex64)
    np.testing.assert_array_equal(wiener(masks(1, 2), silent, WienerSettings()), 0)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("iterations", [0, 1, 3])
@pytest.mark.parametrize("is_soft", [False, True])
@pytest.mark.parametrize("loud", [0.3, 200.0])
def test_agrees_with_norbert(channels: int, iterations: int, is_soft: bool, loud: float) -> None:
    """Relative to the largest value; loud spectra are scaled by both. norbert changes the arrays it is given."""
    norbert = pytest.importorskip("norbert")
    mixture = spectra(channels, loud=loud).astype(np.complex128)
    mask = masks(3, channels).astype(np.float64)
    magnitudes = (mask * np.abs(mixture)).transpose(2, 3, 1, 0)
    theirs = norbert.wiener(magnitudes, mixture.transpose(1, 2, 0).copy(), iterations, use_softmask=is_soft)
    ours = by_blocks(mask, mixture, WienerSettings(False, is_soft, iterations))
    np.testing.assert_allclose(ours, theirs.transpose(3, 2, 0, 1), rtol=0, atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("settings", [WienerSettings(), WienerSettings(False, True, 2), WienerSettings(True, False, 3)])
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_give_what_the_whole_file_gives(settings: WienerSettings, channels: int) -> None:
    mixture, mask = spectra(channels, loud=50.0), masks(2, channels)
    whole = by_blocks(mask, mixture, settings)
    np.testing.assert_allclose(by_blocks(mask, mixture, settings, 1, 17, 30), whole, rtol=0, atol=1e-9)


def test_a_filter_is_used_in_its_order() -> None:
    mixture, mask = spectra(2), masks(1, 2)
    learned = WienerFilter(1, 2, BINS, WienerSettings())
    with pytest.raises(ValueError, match="0 of 1 passes"):
        learned.apply(mask, mixture)
    learned.learn(mask, mixture)
    learned.finish_pass()
    with pytest.raises(ValueError, match="finished"):
        learned.learn(mask, mixture)
    with pytest.raises(ValueError, match="do not fit"):
        learned.apply(mask[:, :1], mixture)
    for wrong in ((0, 2), (1, 3), (1, 0)):
        with pytest.raises(ValueError, match=r"channels|n_targets"):
            WienerFilter(*wrong, BINS, WienerSettings())
    with pytest.raises(ValueError, match="iterations"):
        WienerSettings(iterations=-1)


@pytest.mark.parametrize("name", ["residual_1ch", "residual_2ch", "4src_1iter", "4src_softmask"])
def test_the_published_vectors_are_reproduced(name: str) -> None:
    """Random masks of the original's own run, complex64."""
    vectors = reference_vectors(f"mwf_{name}")
    config = json.loads(str(vectors["config"]))
    mask, mixture, expected = (vectors[key][0].swapaxes(-1, -2) for key in ("input/mask", "input/mixture", "output/y"))
    settings = WienerSettings(config["residual_model"], config["softmask"], config["n_iter"])
    error = np.abs(wiener(mask, mixture, settings) - expected).max()
    print(f"{name}: largest error {error:.1e}")
    assert error <= 1e-4 * np.abs(expected).max()
