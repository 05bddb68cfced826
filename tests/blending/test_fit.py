"""Fitted shares, Mixer and intervals against what is known of synthetic songs, and against a search."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from my_submission.blending.fit import Gain, Products, best_shares, best_single, held_out, held_out_gain, sweep
from my_submission.blending.mixer_fit import MixerProducts, best_mixer, unchanged

RNG = np.random.default_rng(0)


def song(shares: tuple[float, ...], *, samples: int = 20_000, level: float = 1.0) -> Products:
    """A song whose best blend is known: errors of the estimates that cancel at these shares, plus a common error."""
    n = len(shares)
    true = level * RNG.standard_normal((2, samples))
    errors = RNG.standard_normal((n, 2, samples))
    weights = np.array(shares)
    errors -= np.tensordot(weights, errors, axes=1) / np.sum(weights**2) * weights[:, None, None]
    noise = 0.3 * RNG.standard_normal((2, samples))
    products = Products(n)
    for start in range(0, samples, 7_000):
        block = slice(start, start + 7_000)
        products.add(true[:, block], true[:, block] + level * (errors[:, :, block] + noise[:, block]))
    return products


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.3), (0.9, 0.1), (0.2, 0.3, 0.5), (1.0, 0.0)])
def test_known_best_shares_are_found(shares: tuple[float, ...]) -> None:
    """To 0.02, as are the published ratios 5:5, 7:3 and 9:1; songs of very different loudness count the same."""
    if 0.0 in shares:
        true = RNG.standard_normal((2, 5_000))
        products = Products(2)
        products.add(true, np.stack([true + 0.1 * RNG.standard_normal(true.shape), 0 * true]))
        songs = [products]
    else:
        songs = [song(shares, level=level) for level in (0.01, 1.0, 30.0)]
    np.testing.assert_allclose(best_shares(songs), shares, atol=0.02)


def test_the_minimum_on_the_simplex_is_that_of_a_search() -> None:
    """Five correlated estimates, some of them useless: scipy's solver with constraints finds nothing better."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        true = rng.standard_normal((2, 400))
        mixed = rng.standard_normal((5, 5))
        noise = np.tensordot(mixed, rng.standard_normal((5, 2, 400)), axes=1)
        products = Products(5)
        products.add(true, rng.uniform(0, 1.5, 5)[:, None, None] * true + 0.7 * noise)
        found = best_shares([products])
        assert found.min() >= 0
        assert found.sum() == pytest.approx(1)
        searched = minimize(
            lambda weights, products=products: products.error(weights) / products.energy,
            np.full(5, 0.2),
            bounds=[(0, 1)] * 5,
            constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
            options={"ftol": 1e-12},
        )
        assert products.error(found) / products.energy <= searched.fun + 1e-6


def test_equal_estimates_and_silence_are_no_trouble() -> None:
    true = RNG.standard_normal((2, 500))
    same = Products(2)
    same.add(true, np.stack([0.5 * true, 0.5 * true]))
    assert best_shares([same]).sum() == pytest.approx(1)
    silent = Products(2)
    silent.add(0 * true, np.stack([0 * true, 0 * true]))
    assert silent.sdr([0.5, 0.5]) == 0.0
    assert best_shares([silent]).sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="no song"):
        best_shares([])


def test_sdr_is_that_of_the_signals() -> None:
    true, estimates = RNG.standard_normal((2, 300)), RNG.standard_normal((3, 2, 300))
    products = Products(3)
    products.add(true, estimates)
    blend = 0.2 * estimates[0] + 0.3 * estimates[1] + 0.5 * estimates[2]
    direct = 10 * np.log10((np.sum(true**2) + 1e-7) / (np.sum((true - blend) ** 2) + 1e-7))
    assert products.sdr([0.2, 0.3, 0.5]) == pytest.approx(direct, abs=1e-9)


def test_held_out_gain_and_its_interval() -> None:
    """Songs with the same best shares gain; the interval is that of Student."""
    steady = held_out_gain([song((0.5, 0.5)) for _ in range(6)])
    assert steady.low > 1
    assert steady.n_songs == 6
    gain = Gain.of([1.0, 2.0, 3.0])
    assert gain.mean == pytest.approx(2)
    assert gain.high - gain.mean == pytest.approx(4.3027 * 1 / np.sqrt(3), abs=1e-3)  # Student's t with 2 degrees
    assert Gain.of([1.5]) == Gain(1.5, 1.5, 1.5, 1)
    assert held_out_gain([song((0.5, 0.5))]).n_songs == 0


def test_single_and_sweep() -> None:
    songs = [song((0.7, 0.3)) for _ in range(2)]
    assert tuple(best_single(songs)) == (1.0, 0.0)
    found = sweep(songs, 0, 1)
    assert [share for share, _ in found] == pytest.approx(np.arange(11) / 10)
    assert max(found, key=lambda pair: pair[1])[0] == pytest.approx(0.7)


def test_the_mixer_undoes_leakage() -> None:
    """Estimates are a known linear map of the true stems: the Mixer is its inverse, also on a song it has not seen."""
    leak = np.eye(4) + 0.2 * RNG.standard_normal((4, 4))
    songs = []
    for _ in range(3):
        true = RNG.standard_normal((2, 2, 3_000))
        estimates = (leak @ true.reshape(4, -1)).reshape(true.shape)
        products = MixerProducts(2)
        products.add(true, estimates, true.sum(axis=0))
        songs.append(products)
    matrix = best_mixer(songs, ridge=1e-9)
    assert songs[0].sdr(matrix).min() > 60
    assert held_out(songs, lambda song, others: song.gain_of(best_mixer(others))).low > 3
    np.testing.assert_array_equal(unchanged(2), np.eye(4, 6))
