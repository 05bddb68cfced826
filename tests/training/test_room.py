"""The effect of a room, and effects that concern some sources only."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from training.augment.effects import EffectChain
from training.augment.room import Room, decaying_noise, reverberated
from training.augment.tone import Flip


def noise(n_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, n_samples)).astype(np.float32)


def test_a_tail_is_a_convolution() -> None:
    window, tail = noise(3000), noise(900, seed=1)
    expected = [scipy.signal.convolve(x, y, method="direct")[:3000] for x, y in zip(window, tail, strict=True)]
    assert np.abs(reverberated(window, tail) - expected).max() < 1e-4


def test_a_tail_has_unit_energy_and_decays() -> None:
    for seed in range(5):
        tail = decaying_noise(20_000, np.random.default_rng(seed))
        assert np.mean(np.sum(tail * tail, axis=1)) == pytest.approx(1.0, rel=1e-5)
        early, late = np.sum(tail[:, :5000] ** 2), np.sum(tail[:, -5000:] ** 2)
        assert 10.0 * np.log10(early / late) > 25.0  # 39 dB for the envelope alone


def test_the_sound_itself_is_kept_and_the_tail_follows_at_its_level() -> None:
    click = np.zeros((2, 60_000), dtype=np.float32)
    click[:, 0] = 1.0
    room = Room(shortest_seconds=0.5, longest_seconds=0.5, quietest_db=-6.0, loudest_db=-6.0)
    for seed in range(5):
        wet = room.apply(click, np.random.default_rng(seed)) - click
        level_db = 10.0 * np.log10(np.mean(np.sum(wet * wet, axis=1)))
        assert level_db == pytest.approx(-6.0, abs=0.01)
    assert click[0, 0] == 1.0, "the input was changed"
    assert click.sum() == 2.0


def test_a_window_shorter_than_the_gap_is_returned_as_it_is() -> None:
    window = noise(3)
    kept = [np.array_equal(Room().apply(window, np.random.default_rng(seed)), window) for seed in range(20)]
    assert sum(kept) >= 15


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"shortest_seconds": 2.0}, "seconds"), ({"quietest_db": 0.0}, "dB"), ({"shortest_seconds": 0.0}, "positive")],
)
def test_nonsense_is_refused(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Room(**wrong)


def test_an_effect_concerns_only_the_sources_it_names() -> None:
    chain = EffectChain([Flip(probability=1.0, sources=("drums",))])
    window = noise(100)

    def changed(source: str) -> np.ndarray:
        return chain(window, source=source, timing=np.random.default_rng(0), rng=np.random.default_rng(0))

    assert np.array_equal(changed("drums"), -window)
    assert np.array_equal(changed("bass"), window)


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(ValueError, match="guitar"):
        Flip(sources=("guitar",))
