"""Masks and their filter as work: time is kept back for the filter, and what is masked in time becomes stems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from my_submission.dsp.wiener import WienerSettings
from my_submission.engines.fake_engine import FakeEngine
from my_submission.events import Finished
from my_submission.geometry import FrameChunking, StftGeometry
from my_submission.mechanisms import MaskingMechanism, MaskingRecipe
from my_submission.predictor import Predictor
from my_submission.stems import MUSIC_SOURCES
from my_submission.systems import Branch, BranchRecipe, LoadedSystem, SystemRecipe
from tests.rigs import FakeClock

RATE = 44_100
STFT = StftGeometry(256, 64, 129)
STRETCHES = FrameChunking(350, 20)
WHOLES = dict.fromkeys(MUSIC_SOURCES, 1.0)
SECONDS = 3


def song(seconds: float = SECONDS) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, round(seconds * RATE))).astype(np.float32)


def masks_of(clock: FakeClock, *, cost: float, is_whole: bool = False, wiener: WienerSettings) -> LoadedSystem:
    """One masking network of four sources that takes ``cost`` seconds a second of audio."""

    def run(batch: np.ndarray) -> np.ndarray:
        clock.pass_(cost * batch.shape[-1] * STFT.hop / RATE)
        return np.stack([np.full_like(batch, gain) for gain in (0.1, 0.2, 0.3, 0.4)], axis=1)

    mechanism = MaskingMechanism(
        MUSIC_SOURCES, FakeEngine(run), stft=STFT, chunking=STRETCHES, wiener=wiener, is_whole=is_whole
    )
    recipe = MaskingRecipe("fake/masks", MUSIC_SOURCES, STRETCHES, wiener, is_whole)
    system = SystemRecipe("fake-masks", "for tests", MUSIC_SOURCES, (BranchRecipe("masks", recipe, WHOLES),))
    return LoadedSystem(system, (Branch("masks", mechanism, WHOLES),), {})


def separated(made: LoadedSystem, clock: FakeClock, budget: float | None) -> tuple[dict[str, np.ndarray], list[str]]:
    predictor = Predictor(made, clock=clock)
    texts = []
    for event in predictor.stream(song(), budget_seconds=budget, refine=False):
        if isinstance(event, Finished):
            stems = event.result
        else:
            texts.append(str(event))
    return stems, texts


@pytest.mark.parametrize("wiener", [WienerSettings(has_residual=False), WienerSettings(True, False, 2)])
@pytest.mark.parametrize("is_whole", [False, True])
def test_without_a_deadline_and_with_a_late_one_the_stems_are_the_same(wiener: WienerSettings, is_whole: bool) -> None:
    clock = FakeClock()
    made = masks_of(clock, cost=0.5, is_whole=is_whole, wiener=wiener)
    free, _ = separated(made, clock, None)
    timed, _ = separated(made, clock, 100.0)
    for name in MUSIC_SOURCES:
        np.testing.assert_array_equal(free[name], timed[name])
    for name, gain in zip(MUSIC_SOURCES, (0.1, 0.2, 0.3, 0.4), strict=True):
        # Powers share the mixture, not magnitudes; with two iterations, powers of powers.
        power = gain ** (2 * wiener.iterations)
        whole = sum(other ** (2 * wiener.iterations) for other in (0.1, 0.2, 0.3, 0.4))
        np.testing.assert_allclose(free[name][:, :-64], power / whole * song()[:, :-64], atol=1e-3)


@pytest.mark.parametrize("budget", [0.0, 0.3, 0.6, 1.5, 2.0])
@pytest.mark.parametrize("is_whole", [False, True])
def test_a_deadline_is_kept_and_what_is_masked_becomes_stems(budget: float, is_whole: bool) -> None:
    """By the injected clock, at real time; the stems add up to the mixture where masks do, and where there are none."""
    clock = FakeClock()
    made = masks_of(clock, cost=1.0, is_whole=is_whole, wiener=WienerSettings(has_residual=False))
    began = clock.now
    stems, texts = separated(made, clock, budget)
    assert clock.now - began <= max(budget, 0.0)
    np.testing.assert_allclose(sum(stems.values()), song(), atol=2e-3)
    is_masked = [text for text in texts if "StageAdvanced(part='masks, filter'" in text]
    assert bool(is_masked) == (budget >= 1.5)
    if budget >= 1.5:
        bass = stems["bass"][:, RATE // 8 : RATE // 4]
        np.testing.assert_allclose(bass, 0.1**2 / 0.3 * song()[:, RATE // 8 : RATE // 4], atol=1e-3)


def test_masks_that_are_late_leave_the_song_in_stretches() -> None:
    """A whole song at once that would end too late is taken in stretches, and the report says so."""
    clock = FakeClock()
    made = masks_of(clock, cost=1.0, is_whole=True, wiener=WienerSettings())
    _, texts = separated(made, clock, 4.0)
    assert any("cut the song into stretches for masks" in text for text in texts)
    clock = FakeClock()
    _, texts = separated(replace(made), clock, 100.0)
    assert not any("cut the song" in text for text in texts)
