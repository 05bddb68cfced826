"""Two networks of masks as one engine: exact gains, bins above the networks' own, silence."""

from __future__ import annotations

import numpy as np
import pytest

from my_submission.dsp.stft import stft
from my_submission.engines.fake_engine import FakeEngine
from my_submission.engines.ratio_mask import RatioMaskEngine
from my_submission.geometry import StftGeometry

STFT = StftGeometry(256, 64, 65)
SAMPLES = 64 * 32


def masking(value: float, shapes: list[tuple[int, ...]] | None = None) -> FakeEngine:
    def run(batch: np.ndarray) -> np.ndarray:
        if shapes is not None:
            shapes.append(batch.shape)
        return np.full_like(batch, value)

    return FakeEngine(run)


def noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 2, SAMPLES)).astype(np.float32)


@pytest.mark.parametrize(("exponent", "gain"), [(1.0, 0.25), (2.0, 0.1)])
def test_the_target_is_the_ratio_of_the_masks(exponent: float, gain: float) -> None:
    """Masks 0.2 and 0.6: 0.2 / 0.8 and 0.04 / 0.4 of the mixture, above the networks' bins too; to 1e-5."""
    shapes: list[tuple[int, ...]] = []
    engine = RatioMaskEngine(masking(0.2, shapes), masking(0.6), STFT, exponent=exponent)
    np.testing.assert_allclose(engine.run(noise()), gain * noise(), atol=1e-5)
    assert shapes == [(3, 2, 33, 65)]


def test_bins_above_the_networks_follow_the_topmost_one() -> None:
    """A target that has only the topmost bin the networks see has all above it, and nothing below."""

    def run(batch: np.ndarray) -> np.ndarray:
        mask = np.zeros_like(batch)
        mask[..., -1] = 1
        return mask

    def rest(batch: np.ndarray) -> np.ndarray:
        return 1 - run(batch)

    wave = noise()
    whole = StftGeometry(256, 64, 129)
    spectrum = stft(RatioMaskEngine(FakeEngine(run), FakeEngine(rest), STFT).run(wave), whole)[..., 3:-3, :]
    expected = stft(wave, whole)[..., 3:-3, :]
    tolerance = 0.01 * float(np.abs(expected).max())  # a mask that steps leaks into the bins beside the step
    assert np.abs(spectrum[..., :56]).max() < tolerance
    np.testing.assert_allclose(spectrum[..., 72:], expected[..., 72:], atol=tolerance)


def test_where_both_masks_are_zero_the_target_is_half() -> None:
    np.testing.assert_allclose(RatioMaskEngine(masking(0), masking(0), STFT).run(noise()), 0.5 * noise(), atol=1e-5)
