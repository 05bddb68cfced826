"""The cascade that ships: its files, what its branches hear, a choice of its sources, and the real networks at work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from my_submission.engines import Device
from my_submission.errors import WeightsError
from my_submission.mechanisms import RatioMaskRecipe, RunOptions
from my_submission.predictor import Predictor
from my_submission.stems import MUSIC_SOURCES
from my_submission.systems import SYSTEMS, SystemRecipe, find_system, for_stems, load_system
from my_submission.weights import ModelsFolder
from tests.model_makers import entry, write_manifest

MAX_BYTES = 36_000_000
ROOT = Path(__file__).resolve().parents[2]
OPTIONS = RunOptions(device=Device("cpu"), threads=1)
PLUS = find_system("starter-plus")
CASCADES = (PLUS, find_system("starter-own"))


@pytest.fixture(scope="module")
def committed() -> ModelsFolder:
    return ModelsFolder(ROOT / "models")


def song(seconds: float = 1.0) -> np.ndarray:
    """A low tone, a high one that begins late, and noise."""
    n = int(44_100 * seconds)
    time = np.arange(n) / 44_100
    wave = 0.2 * np.sin(2 * np.pi * 82 * time) + 0.1 * np.sin(2 * np.pi * 660 * time) * (time > seconds / 2)
    return (np.tile(wave, (2, 1)) + 0.02 * np.random.default_rng(0).standard_normal((2, n))).astype(np.float32)


def test_the_files_are_those_of_the_manifest_and_all_weights_stay_small(committed: ModelsFolder) -> None:
    for name in PLUS.artefacts:
        committed.require(name)  # compares size and hash
    shipped = {name for system in SYSTEMS.values() if system.name.startswith("starter") for name in system.artefacts}
    assert sum(committed.require(name).stat().st_size for name in shipped) <= MAX_BYTES


@pytest.mark.parametrize("system", CASCADES, ids=lambda system: system.name)
def test_all_branches_but_the_first_hear_the_mixture_without_vocals(system: SystemRecipe) -> None:
    assert [branch.minus for branch in system.branches] == [(), *[("vocals",)] * (len(system.branches) - 1)]
    assert system.wiener is not None
    assert (system.wiener.minus, set(system.wiener.shares)) == (("vocals",), {"bass", "drums", "other"})


@pytest.mark.parametrize("system", CASCADES, ids=lambda system: system.name)
def test_a_song_comes_apart_into_stems_that_differ(system: SystemRecipe, committed: ModelsFolder) -> None:
    mixture = song()
    stems = Predictor(load_system(system, committed, OPTIONS)).separate(mixture)
    assert tuple(stems) == MUSIC_SOURCES
    powers = {source: float(np.mean(stem**2)) for source, stem in stems.items()}
    assert all(0 < power < np.mean(mixture**2) for power in powers.values())
    assert len({round(power, 9) for power in powers.values()}) == len(MUSIC_SOURCES)
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)


def test_a_manifest_without_a_transform_is_named(tmp_path: Path, committed: ModelsFolder) -> None:
    recipe = PLUS.branches[0].recipe
    assert isinstance(recipe, RatioMaskRecipe)
    entries = []
    for name in recipe.artefacts:
        path = tmp_path / f"{name}.onnx"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(committed.require(name).read_bytes())
        entries.append(entry(name, tmp_path, f"{name}.onnx", format="onnx", architecture="spleeter"))
    write_manifest(tmp_path, entries)
    with pytest.raises(WeightsError, match="states no n_fft and hop for spleeter-2stems/vocals"):
        load_system(for_stems(PLUS, ["vocals"]), ModelsFolder(tmp_path), OPTIONS)
