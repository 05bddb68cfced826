"""Cascades and systems of a target and the rest, as data: what later branches hear, and what the stems add up to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from my_submission.events import StageStarted
from my_submission.geometry import FadeChunking, StftGeometry
from my_submission.mechanisms import SpectralRecipe, WienerRecipe
from my_submission.planning import Calibration
from my_submission.predictor import Predictor
from my_submission.stems import DEMUCS_SOURCES
from my_submission.systems import Branch, BranchRecipe, LoadedSystem, SystemRecipe
from my_submission.systems.catalogue import KUIELAB_A
from tests.rigs import FakeClock, scaling, spectral

SAMPLES = 60_000


def song() -> np.ndarray:
    return (0.3 * np.random.default_rng(0).standard_normal((2, SAMPLES))).astype(np.float32)


def branch(name: str, gains: dict[str, float], clock: FakeClock, minus: tuple[str, ...] = ()) -> Branch:
    engines = {source: scaling(gain, lambda _: clock.pass_(1.0)) for source, gain in gains.items()}
    return Branch(name, spectral(engines), dict.fromkeys(gains, 1.0), minus)


def system(branches: tuple[Branch, ...], sources: tuple[str, ...], rest: str | None = None) -> LoadedSystem:
    recipes = tuple(
        BranchRecipe(each.name, SpectralRecipe(dict.fromkeys(each.shares, "fake")), each.shares, each.minus)
        for each in branches
    )
    return LoadedSystem(SystemRecipe("cascade", "for tests", sources, recipes, rest=rest), branches, {})


def cascade(clock: FakeClock) -> LoadedSystem:
    """Vocals from the mixture, then bass, drums and other from the mixture minus those vocals."""
    front = branch("vocals", {"vocals": 0.4}, clock)
    back = branch("accompaniment", {"bass": 0.5, "drums": 0.3, "other": 0.2}, clock, ("vocals",))
    return system((front, back), ("bass", "drums", "other", "vocals"))


@pytest.mark.parametrize("budget", [None, 10_000.0])
def test_later_branches_hear_the_mixture_minus_what_is_estimated(budget: float | None) -> None:
    """Identity networks with gains: exact products, to float32 rounding; with a deadline as without."""
    clock = FakeClock()
    stems = Predictor(cascade(clock), clock=clock).separate(song(), budget_seconds=budget, refine=False)
    np.testing.assert_allclose(stems["vocals"], 0.4 * song(), atol=1e-6)
    for source, gain in (("bass", 0.5), ("drums", 0.3), ("other", 0.2)):
        np.testing.assert_allclose(stems[source], gain * 0.6 * song(), atol=1e-6)
    np.testing.assert_allclose(sum(stems.values()), song(), atol=1e-6)


def test_later_branches_come_after_what_they_take_out() -> None:
    """With time for part of the vocals only, the accompaniment is not begun and the stems still add up."""
    clock = FakeClock()
    events = list(Predictor(cascade(clock), clock=clock).stream(song(), budget_seconds=8.0, refine=False))
    advanced = {event.part for event in events if type(event).__name__ == "StageAdvanced"}
    assert advanced == {"vocals"}
    assert next(event.part for event in events if isinstance(event, StageStarted)) == "vocals"
    difference = np.abs(sum(events[-1].result.values()) - song())
    assert difference.max() < 0.02  # on the ramp where the vocals end
    assert np.mean(difference > 1e-5) < 0.1


def test_where_nothing_is_estimated_nothing_is_taken_out() -> None:
    """Vocals of 4 s a chunk, bass of 0.05 s: where no vocals fit into the time, the bass network hears the mixture."""
    clock = FakeClock()
    front = Branch("vocals", spectral({"vocals": scaling(0.4, lambda _: clock.pass_(4.0))}), {"vocals": 1.0})
    back = Branch("bass", spectral({"bass": scaling(0.5, lambda _: clock.pass_(0.05))}), {"bass": 1.0}, ("vocals",))
    made = system((front, back), ("bass", "vocals"))
    predictor = Predictor(made, clock=clock, calibration=Calibration())
    predictor.separate(song(), refine=False)
    clock.now = 0.0
    stems = predictor.separate(song(), budget_seconds=24.0, refine=False)
    assert clock.now <= 24.0
    gains = stems["bass"] / song()
    low, high = (np.isclose(gains, gain, atol=1e-4).mean() for gain in (0.5 * 0.6, 0.5))
    assert low > 0.15
    assert high > 0.5
    assert low + high > 0.8  # in between, on ramps: between the two
    assert gains.min() > 0.5 * 0.6 - 1e-3
    assert gains.max() < 0.5 + 1e-3


def test_the_filter_hears_the_mixture_minus_what_it_does_not_filter() -> None:
    """Vocals stay as they are; the filter shares out 0.6 of the mixture by the squares of the three gains."""
    clock = FakeClock()
    whole = cascade(clock)
    gains = {"bass": 0.5, "drums": 0.3, "other": 0.2}
    shares = {"bass": 1.0, "drums": 0.5, "other": 0.0}
    wiener = WienerRecipe(shares, StftGeometry(512, 256, 257), FadeChunking(20_000, 2_000), minus=("vocals",))
    filtered = replace(whole, recipe=replace(whole.recipe, wiener=wiener))
    stems = Predictor(filtered, clock=clock).separate(song())
    np.testing.assert_allclose(stems["vocals"], 0.4 * song(), atol=1e-6)
    squares = sum(gain**2 for gain in gains.values())
    for source, gain in gains.items():
        expected = (1 - shares[source]) * gain * 0.6 + shares[source] * gain**2 / squares * 0.6
        np.testing.assert_allclose(stems[source], expected * song(), atol=2e-4)


def test_with_too_little_time_for_the_cascade_the_direct_way_is_taken() -> None:
    """Time for the vocals and some of the rest: a cheap system that hears the mixture covers the song first."""
    clock, cheap = FakeClock(), {"bass": 0.21, "drums": 0.23, "other": 0.26, "vocals": 0.3}
    engines = {source: scaling(gain, lambda _: clock.pass_(0.1)) for source, gain in cheap.items()}
    fallback = Branch("direct", spectral(engines), dict.fromkeys(cheap, 1.0))
    whole = replace(cascade(clock), open_fallback=lambda: fallback)
    assert whole.n_first_branches == 2
    predictor = Predictor(whole, clock=clock, calibration=Calibration())
    predictor.separate(song(), refine=False)
    full_seconds = clock.now
    for _ in range(2):  # the second time the fallback's cost is known
        clock.now = 0.0
        stems = predictor.separate(song(), budget_seconds=0.5 * full_seconds, refine=False)
        assert clock.now <= 0.5 * full_seconds
    np.testing.assert_allclose(stems["other"], cheap["other"] * song(), atol=1e-6)
    np.testing.assert_allclose(stems["vocals"], 0.4 * song(), atol=1e-6)
    clock.now = 0.0
    stems = predictor.separate(song(), budget_seconds=2 * full_seconds, refine=False)
    np.testing.assert_allclose(stems["other"], 0.2 * 0.6 * song(), atol=1e-6)


def test_the_rest_is_the_mixture_minus_the_target() -> None:
    clock = FakeClock()
    two_stems = system((branch("target", {"vocals": 0.4}, clock),), ("vocals", "instrumental"), rest="instrumental")
    stems = Predictor(two_stems, clock=clock).separate(song())
    assert tuple(stems) == ("vocals", "instrumental")
    np.testing.assert_array_equal(stems["instrumental"], song() - stems["vocals"])


def test_what_cannot_be_said_is_refused() -> None:
    clock = FakeClock()
    front = branch("vocals", {"vocals": 0.4}, clock)
    with pytest.raises(ValueError, match=r"no branch before 'early' .* estimates vocals"):
        system((branch("early", {"bass": 0.5}, clock, ("vocals",)), front), ("bass", "vocals"))
    wiener = WienerRecipe({"vocals": 1.0}, StftGeometry(512, 256, 257), FadeChunking(20_000), minus=("bass",))
    with pytest.raises(ValueError, match="estimates all of"):
        replace(system((front,), ("vocals",)).recipe, wiener=wiener)
    with pytest.raises(ValueError, match="the rest 'piano'"):
        system((front,), ("vocals",), rest="piano")
    demucs = KUIELAB_A.branches[1]
    scaled = BranchRecipe("demucs", demucs.recipe, dict.fromkeys(("bass", "drums", "other"), 1.0), ("vocals",))
    first = BranchRecipe("vocals", SpectralRecipe({"vocals": "fake"}), {"vocals": 1.0})
    with pytest.raises(ValueError, match="needs statistics of its input"):
        SystemRecipe("cascade", "for tests", DEMUCS_SOURCES, (first, scaled))
