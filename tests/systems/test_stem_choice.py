"""A choice of stems: the same samples as those of the whole system, without work that they do not need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from my_submission.engines import Device
from my_submission.errors import UnknownNameError
from my_submission.events import StageStarted
from my_submission.mechanisms import RunOptions, SpectralRecipe
from my_submission.predictor import Predictor, load
from my_submission.stems import with_complement
from my_submission.systems import (
    SYSTEMS,
    BranchRecipe,
    SystemRecipe,
    find_system,
    for_stems,
    load_system,
    possible_stems,
)
from my_submission.systems.starters import networks_of
from my_submission.weights import ModelsFolder
from tests.systems.test_starter_plus import song

PLUS, STARTER = find_system("starter-plus"), find_system("starter")
ACCOMPANIMENT = ("bass", "drums", "other")
MODELS = ModelsFolder(Path(__file__).resolve().parents[2] / "models")
OPTIONS = RunOptions(device=Device("cpu"), threads=1)


def predictor(recipe: SystemRecipe) -> Predictor:
    return Predictor(load_system(recipe, MODELS, OPTIONS))


def stages(recipe: SystemRecipe) -> list[str]:
    return [event.part for event in predictor(recipe).stream(song()) if isinstance(event, StageStarted)]


@pytest.fixture(scope="module")
def whole() -> dict[str, np.ndarray]:
    return predictor(PLUS).separate(song())


def test_vocals_alone_need_the_first_branch_alone(whole: dict[str, np.ndarray]) -> None:
    vocals = for_stems(PLUS, ["vocals"])
    assert vocals.artefacts == ("spleeter-2stems/vocals", "spleeter-2stems/accompaniment")
    assert (vocals.wiener, vocals.omitted) == (None, ("bass", "drums", "other"))
    alone = predictor(vocals).separate(song())
    assert tuple(alone) == ("vocals",)
    np.testing.assert_array_equal(alone["vocals"], whole["vocals"])


def test_a_filtered_source_needs_all_sources_of_the_filter(whole: dict[str, np.ndarray]) -> None:
    bass = for_stems(PLUS, ["bass"])
    assert [branch.recipe.sources for branch in bass.branches] == [branch.recipe.sources for branch in PLUS.branches]
    assert bass.wiener == PLUS.wiener
    alone = predictor(bass).separate(song())
    assert tuple(alone) == ("bass",)
    np.testing.assert_array_equal(alone["bass"], whole["bass"])


def test_without_filter_and_mixer_the_other_networks_do_not_run() -> None:
    recipe_of_networks = SpectralRecipe(networks_of("starter", ACCOMPANIMENT))
    branch = BranchRecipe("networks", recipe_of_networks, dict.fromkeys(ACCOMPANIMENT, 1.0))
    recipe = replace(STARTER, sources=ACCOMPANIMENT, branches=(branch,), wiener=None)
    assert stages(for_stems(recipe, ["drums", "bass"])) == ["networks: bass", "networks: drums"]
    assert stages(for_stems(recipe, ["drums"])) == ["networks"]


def test_a_mixer_needs_all_networks() -> None:
    recipe = replace(STARTER, wiener=None)
    drums = for_stems(recipe, ["drums"])
    assert drums.artefacts == recipe.artefacts
    assert drums.omitted == ("bass", "other", "vocals")  # their networks run; their blends and filters do not
    np.testing.assert_array_equal(
        predictor(drums).separate(song())["drums"], predictor(recipe).separate(song())["drums"]
    )


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("source", ["vocals", "other"])
def test_a_stem_and_its_complement_add_up_to_the_mixture(source: str, rate: int) -> None:
    mixture = song()
    stems = predictor(for_stems(PLUS, with_complement(source))).separate(mixture, sample_rate=rate)
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)  # rounding of one float32 difference


def test_a_mono_mixture_has_stereo_complements() -> None:
    mono = song()[0]
    stems = predictor(for_stems(PLUS, ["instrumental", "vocals"])).separate(mono)
    np.testing.assert_allclose(stems["instrumental"] + stems["vocals"], np.stack([mono, mono]), atol=1e-6)


def test_stems_come_in_the_order_of_the_request_and_once(whole: dict[str, np.ndarray]) -> None:
    stems = predictor(for_stems(PLUS, ["karaoke", "vocal", "drumless", "vocals"])).separate(song())
    assert tuple(stems) == ("karaoke", "vocals", "drumless")
    np.testing.assert_allclose(stems["drumless"], song() - whole["drums"], atol=1e-6)


def test_all_sources_are_the_whole_system() -> None:
    assert for_stems(PLUS, PLUS.sources) is PLUS


def test_the_rest_needs_all_other_sources() -> None:
    recipe = replace(PLUS, rest="other", wiener=None)
    other = for_stems(recipe, ["other"])
    assert (other.rest, set(other.estimated), other.stems) == ("other", {"bass", "drums", "vocals"}, ("other",))
    assert for_stems(recipe, ["vocals"]).rest is None


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_every_stem_of_every_system_can_be_chosen(system: SystemRecipe) -> None:
    for stem in possible_stems(system):
        chosen = for_stems(system, [stem])
        assert chosen.stems == (stem,)
        assert set(chosen.artefacts) <= set(system.artefacts)


def test_an_unknown_stem_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Use instrumental"):
        for_stems(PLUS, ["instrumentals"])
    with pytest.raises(UnknownNameError, match="Use dialog, effect, music, no_dialog"):
        for_stems(find_system("starter-cinema"), ["x"])


def test_too_little_time_gives_the_share_that_the_whole_system_gives() -> None:
    mixture = song()
    vocals = predictor(for_stems(PLUS, ["vocals"])).separate(mixture, budget_seconds=1e-3)
    np.testing.assert_allclose(vocals["vocals"], mixture / 4, atol=1e-6)


def test_the_report_says_what_is_not_estimated() -> None:
    separator = load("starter-plus", stems=["vocals"], device="cpu")
    assert "only vocals requested: bass, drums and other not estimated" in separator.setup_notes
    separator = load("starter-plus", stems=["bass", "drumless"], device="cpu")
    assert "only bass and drumless requested: they need the estimates of all sources" in separator.setup_notes
    assert not any("requested" in note for note in load("starter-plus", device="cpu").setup_notes)
