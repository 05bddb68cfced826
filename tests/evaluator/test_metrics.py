"""Whole-song metrics: properties, then an independent two-line computation."""

from __future__ import annotations

import numpy as np
import pytest

from evaluator.metrics import GlobalSdr, SiSdr, global_sdr, si_sdr


@pytest.fixture
def stem(rng: np.random.Generator) -> np.ndarray:
    return (0.1 * rng.standard_normal((2, 5000))).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_global_sdr_equals_the_two_line_computation(rng: np.random.Generator) -> None:
    for level in (1e-6, 1e-3, 0.3, 4.0):
        reference = (level * rng.standard_normal((2, 4001))).astype(np.float32)
        estimate = (reference + 0.3 * level * rng.standard_normal((2, 4001))).astype(np.float32)
        signal, error = (reference.astype(float) ** 2).sum(), ((reference.astype(float) - estimate) ** 2).sum()
        expected = 10 * np.log10((signal + 1e-7) / (error + 1e-7))
        assert abs(global_sdr(reference, estimate) - expected) < 1e-9


def test_global_sdr_of_silence_for_silence_is_zero() -> None:
    assert global_sdr(np.zeros((2, 100), np.float32), np.zeros((2, 100), np.float32)) == 0.0


def test_global_sdr_of_noise_for_silence_is_negative(stem: np.ndarray) -> None:
    assert global_sdr(np.zeros_like(stem), stem) < -60


def test_global_sdr_of_a_perfect_estimate_is_limited_by_epsilon_only(stem: np.ndarray) -> None:
    energy = (stem.astype(float) ** 2).sum()
    assert abs(global_sdr(stem, stem) - 10 * np.log10(energy / 1e-7 + 1)) < 1e-9


def test_global_sdr_of_a_half_level_estimate_is_six_decibels(stem: np.ndarray) -> None:
    assert abs(global_sdr(stem, stem / 2) - 20 * np.log10(2)) < 1e-4


def test_global_sdr_does_not_care_for_order_of_channels_or_axes(stem: np.ndarray, rng: np.random.Generator) -> None:
    estimate = stem + 0.05 * rng.standard_normal(stem.shape).astype(np.float32)
    value = global_sdr(stem, estimate)
    assert abs(global_sdr(stem.T, estimate.T) - value) < 1e-9
    assert abs(global_sdr(stem[::-1], estimate[::-1]) - value) < 1e-9


@pytest.mark.parametrize("score", [GlobalSdr, SiSdr])
@pytest.mark.parametrize("block", [1, 7, 4999, 5000, 9000])
def test_blocks_give_the_same_as_the_whole(
    score: type[GlobalSdr] | type[SiSdr], block: int, stem: np.ndarray, rng: np.random.Generator
) -> None:
    estimate = stem + 0.05 * rng.standard_normal(stem.shape).astype(np.float32)
    whole, parts = score(), score()
    whole.add(stem, estimate)
    for start in range(0, stem.shape[1], block):
        parts.add(stem[:, start : start + block], estimate[:, start : start + block])
    assert abs(parts.decibels - whole.decibels) < 1e-9


@pytest.mark.parametrize("function", [global_sdr, si_sdr])
def test_shapes_that_differ_are_refused(function: object, stem: np.ndarray) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="differ in shape"):
        function(stem, stem[:, :-1])


def test_inputs_are_left_alone(stem: np.ndarray) -> None:
    before, estimate = stem.copy(), stem * 0.5
    estimate_before = estimate.copy()
    global_sdr(stem, estimate)
    si_sdr(stem, estimate)
    np.testing.assert_array_equal(stem, before)
    np.testing.assert_array_equal(estimate, estimate_before)


def test_si_sdr_equals_its_definition(stem: np.ndarray, rng: np.random.Generator) -> None:
    estimate = 0.7 * stem + 0.03 * rng.standard_normal(stem.shape).astype(np.float32)
    s, e = stem.astype(float).ravel(), estimate.astype(float).ravel()
    target = (e @ s) / (s @ s) * s
    expected = 10 * np.log10((target @ target) / ((target - e) @ (target - e)))
    assert abs(si_sdr(stem, estimate) - expected) < 1e-9


def test_si_sdr_ignores_the_level_and_sign(stem: np.ndarray, rng: np.random.Generator) -> None:
    estimate = stem.astype(float) + 0.05 * rng.standard_normal(stem.shape)
    values = [si_sdr(stem, gain * estimate) for gain in (1.0, 1e-3, -20.0)]
    assert np.ptp(values) < 1e-9


def test_si_sdr_at_its_ends(stem: np.ndarray) -> None:
    assert np.isnan(si_sdr(np.zeros_like(stem), stem))
    assert si_sdr(stem, np.zeros_like(stem)) == -np.inf
    assert si_sdr(stem, 2 * stem) == np.inf
