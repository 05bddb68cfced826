"""The Mixer in closed form: a known matrix comes back, the ridge leads to the identity, the file is as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from my_submission.stems import Waveform
from training.mixer import apply_mixer, fit_mixer, save_mixer

N_SAMPLES = 4000
UNCHANGED = np.eye(8, 10, dtype=np.float32)


def inputs_of(seed: int) -> Waveform:
    return np.random.default_rng(seed).normal(size=(5, 2, N_SAMPLES)).astype(np.float32)


def symmetric_matrix(seed: int) -> Waveform:
    """A random matrix that treats left and right alike."""
    rng = np.random.default_rng(seed)
    same, other = rng.normal(size=(2, 4, 5))
    matrix = np.zeros((8, 10), dtype=np.float32)
    for side in range(2):
        matrix[side::2, side::2] = same
        matrix[side::2, 1 - side :: 2] = other
    return matrix


def test_a_known_matrix_is_recovered() -> None:
    matrix = symmetric_matrix(1)
    songs = [(x, apply_mixer(matrix, x)) for x in (inputs_of(2), inputs_of(3))]
    assert np.allclose(fit_mixer(songs, ridge=0.0), matrix, atol=1e-5)


def test_it_agrees_with_least_squares_over_both_channel_orders() -> None:
    rng = np.random.default_rng(4)
    x, y = inputs_of(5), rng.normal(size=(4, 2, N_SAMPLES)).astype(np.float32)
    both_x = np.concatenate([a.reshape(10, -1) for a in (x, x[:, ::-1])], axis=1)
    both_y = np.concatenate([a.reshape(8, -1) for a in (y, y[:, ::-1])], axis=1)
    direct = np.linalg.lstsq(both_x.T, both_y.T, rcond=None)[0].T
    assert np.allclose(fit_mixer([(x, y)], ridge=0.0), direct, atol=1e-5)


def test_a_strong_ridge_changes_nothing() -> None:
    songs = [(inputs_of(6), np.zeros((4, 2, N_SAMPLES), dtype=np.float32))]
    assert np.allclose(fit_mixer(songs, ridge=1e6), UNCHANGED, atol=1e-4)


def test_it_lowers_the_error_on_what_it_was_fitted_to() -> None:
    stems = np.random.default_rng(7).normal(size=(4, 2, N_SAMPLES)).astype(np.float32)
    mixture = stems.sum(axis=0)
    inputs = np.concatenate((0.7 * stems + 0.1 * mixture, mixture[None]))
    matrix = fit_mixer([(inputs, stems)], ridge=0.001)
    before = np.sum((inputs[:-1] - stems) ** 2)
    assert np.sum((apply_mixer(matrix, inputs) - stems) ** 2) < 0.1 * before


def test_the_file_is_the_published_format(tmp_path: Path) -> None:
    path = tmp_path / "models" / "mixer.ckpt"
    save_mixer(symmetric_matrix(8), path)
    stored = torch.load(path, weights_only=True)
    assert list(stored) == ["linear.weight"]
    assert stored["linear.weight"].shape == (8, 10)
    assert np.array_equal(stored["linear.weight"].numpy(), symmetric_matrix(8))
    assert [p.name for p in path.parent.iterdir()] == ["mixer.ckpt"]


def test_the_identity_is_the_identity() -> None:
    x = inputs_of(9)
    assert np.array_equal(apply_mixer(UNCHANGED, x), x[:4])
    assert apply_mixer(UNCHANGED, x).shape == pytest.approx((4, 2, N_SAMPLES))
