"""Left, right, difference and mean through a mono network, and the published combinations of what it makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from my_submission.engines.fake_engine import FakeEngine
from my_submission.mechanisms.mid_side import MidSideEngine, combined, four_rows
from my_submission.stems import CINEMA_SOURCES, unstack_stems

SAMPLES = 500
ORDER = ("music", "effect", "dialog")


def scene(seed: int = 0) -> dict[str, np.ndarray]:
    """True stems: dialogue in the middle, music and effects anywhere."""
    rng = np.random.default_rng(seed)
    stems = {name: rng.standard_normal((2, SAMPLES)).astype(np.float32) for name in CINEMA_SOURCES}
    stems["dialog"][1] = stems["dialog"][0]
    return stems


def halves(batch: np.ndarray) -> np.ndarray:
    """Estimates that tell the rows and the sources apart."""
    return np.stack([batch * gain for gain in (0.5, 0.3, 0.2)], axis=1).astype(np.float32)


def test_a_perfect_separator_gives_the_true_stems() -> None:
    """Linear: the estimates of a row are the row of the true stems. To float32 rounding."""
    true_stems = scene()
    mixture = sum(true_stems.values())
    perfect = {name: four_rows(stem) for name, stem in true_stems.items()}
    stems = combined(four_rows(mixture), perfect)
    for name in CINEMA_SOURCES:
        np.testing.assert_allclose(stems[name], true_stems[name], atol=3e-6)


def test_a_perfect_engine_gives_the_true_stems() -> None:
    true_stems = scene()
    rows = {name: four_rows(stem) for name, stem in true_stems.items()}

    def perfect(batch: np.ndarray) -> np.ndarray:
        whole = four_rows(sum(true_stems.values()))
        numbers = [int(np.abs(whole - row).max(axis=1).argmin()) for row in batch[:, 0]]
        return np.stack([[rows[name][number][None] for name in ORDER] for number in numbers])

    separated = MidSideEngine(FakeEngine(perfect), ORDER).run(sum(true_stems.values())[None])
    for name, stem in unstack_stems(separated[0], CINEMA_SOURCES).items():
        np.testing.assert_allclose(stem, true_stems[name], atol=3e-6)


def test_the_combinations_are_the_published_ones() -> None:
    """Written out once more, row by row, for estimates that have nothing to do with each other; float32 rounding."""
    rng = np.random.default_rng(3)
    mixture = rng.standard_normal((2, SAMPLES)).astype(np.float32)
    estimates = {name: rng.standard_normal((4, SAMPLES)).astype(np.float32) for name in CINEMA_SOURCES}
    (dl, dr, _, dm), (el, er, es, em), (ml, mr, ms, mm) = (estimates[name].astype(float) for name in CINEMA_SOURCES)
    side = (mixture[0].astype(float) - mixture[1]) / 2
    expected = {
        "dialog": [(dl + dr + dm) / 3] * 2,
        "effect": [(side - ms + em + el) / 2, (em - side + ms + er) / 2],
        "music": [(side - es + mm + ml) / 2, (mm - side + es + mr) / 2],
    }
    for name, stem in combined(four_rows(mixture), estimates).items():
        np.testing.assert_allclose(stem, expected[name], atol=1e-6)


@pytest.mark.parametrize("biased", [False, True])
def test_equal_channels_have_a_side_of_exactly_zero_and_cost_a_quarter(biased: bool) -> None:
    engine = FakeEngine(lambda batch: halves(batch) + np.float32(biased))
    mono = np.repeat(scene()["music"][:1], 2, axis=0)
    stems = MidSideEngine(engine, ORDER).run(mono[None])[0]
    np.testing.assert_array_equal(stems[:, 0], stems[:, 1])
    assert engine.shapes == [(1, 1, SAMPLES)]
    np.testing.assert_allclose(unstack_stems(stems, CINEMA_SOURCES)["effect"][0], 0.3 * mono[0] + biased, atol=1e-6)


def test_silence_is_not_run() -> None:
    engine = FakeEngine(lambda batch: halves(batch) + 1)
    np.testing.assert_array_equal(MidSideEngine(engine, ORDER).run(np.zeros((1, 2, SAMPLES), np.float32)), 0)
    assert not engine.shapes


@pytest.mark.parametrize("together", [1, 3, 4])
def test_rows_go_together_or_one_by_one_with_the_same_result(together: int) -> None:
    batch = np.stack([sum(scene(seed).values()) for seed in (0, 1)])
    engine = FakeEngine(halves)
    once = MidSideEngine(FakeEngine(halves), ORDER).run(batch)
    np.testing.assert_array_equal(MidSideEngine(engine, ORDER, together=together).run(batch, is_last=True), once)
    assert max(shape[0] for shape in engine.shapes) == together
    assert sum(shape[0] for shape in engine.shapes) == 8
    assert engine.n_last == 1


def test_nonsense_is_refused() -> None:
    for wrong in (("music", "effect"), ("music", "effect", "speech"), ("music", "music", "effect")):
        with pytest.raises(ValueError, match="order"):
            MidSideEngine(FakeEngine(), wrong)
    with pytest.raises(ValueError, match="together"):
        MidSideEngine(FakeEngine(), ORDER, together=0)
