"""Recipes as values, options that refuse nonsense, and loading by name."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

import my_submission as mdx
from my_submission.challenge.tracks import LFS_THRESHOLD_BYTES, TRACKS
from my_submission.cli import batch, evaluate, separate
from my_submission.engines import Device, devices
from my_submission.errors import DeviceError, UnknownNameError
from my_submission.mechanisms import RunOptions, SpectralRecipe, WaveformRecipe
from my_submission.stems import DEMUCS_SOURCES, MUSIC_SOURCES, canonical_source, stack_stems, unstack_stems
from my_submission.systems import DEFAULT_SYSTEM, SYSTEMS, BranchRecipe, SystemRecipe, find_system
from my_submission.systems.catalogue import KUIELAB_A, KUIELAB_B
from my_submission.weights import ModelsFolder

HALF_GRAPHS = {"runtime": "onnx", "precision": "bf16"}

ROOT = Path(__file__).resolve().parents[2]


def test_leaderboards_differ_by_values_only() -> None:
    """Table 1.5 of the published differences."""
    a_networks, a_demucs = KUIELAB_A.branches
    b_networks, b_demucs = KUIELAB_B.branches
    assert isinstance(a_networks.recipe, SpectralRecipe)
    assert isinstance(b_networks.recipe, SpectralRecipe)
    assert isinstance(a_demucs.recipe, WaveformRecipe)
    assert isinstance(b_demucs.recipe, WaveformRecipe)
    assert (a_networks.recipe.mixer, b_networks.recipe.mixer) == ("kuielab-a/mixer", None)
    assert (a_demucs.recipe.network, b_demucs.recipe.network) == ("demucs/demucs", "demucs/demucs-extra")
    assert (a_demucs.recipe.normalisation, b_demucs.recipe.normalisation) == ("joint", "mono")
    for networks, demucs in ((a_networks, a_demucs), (b_networks, b_demucs)):
        assert networks.shares == {"bass": 0.5, "drums": 0.5, "other": 0.7, "vocals": 0.9}
        assert demucs.shares == pytest.approx({"bass": 0.5, "drums": 0.5, "other": 0.3, "vocals": 0.1})
        assert isinstance(demucs.recipe, WaveformRecipe)
        assert demucs.recipe.chunking.segment_samples == 1_764_000
        assert demucs.recipe.chunking.stride_samples == 882_000
        assert demucs.recipe.sources == DEMUCS_SOURCES


def test_every_artefact_of_every_system_is_in_the_manifest() -> None:
    known = {artefact.name for artefact in ModelsFolder(ROOT / "models").artefacts}
    for system in SYSTEMS.values():
        assert set(system.artefacts) <= known, system.name


def test_published_scores_average_to_the_song_score() -> None:
    """The song's score is the mean of the four, to the rounding of two or three decimals."""
    for system in (KUIELAB_A, KUIELAB_B):
        mean = sum(system.published[source] for source in MUSIC_SOURCES) / 4
        assert mean == pytest.approx(system.published["song"], abs=0.006)


@pytest.mark.parametrize("shares", [{"bass": 0.9}, {"bass": 1.1}, {"bass": 0.0}, {}])
def test_shares_must_add_up(shares: dict[str, float]) -> None:
    recipe = SpectralRecipe({"bass": "x/bass"})
    with pytest.raises(ValueError, match="share"):
        SystemRecipe("x", "x", ("bass",), (BranchRecipe("one", recipe, shares),))
    with pytest.raises(ValueError, match="no branch"):
        SystemRecipe("x", "x", ("bass",), ())


def test_unknown_systems_name_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="kuielab-a"):
        find_system("kuielab_a")


def test_the_default_system_is_the_same_everywhere() -> None:
    assert next(iter(SYSTEMS)) == DEFAULT_SYSTEM  # the page offers the first system that is ready
    assert inspect.signature(mdx.load).parameters["system"].default == DEFAULT_SYSTEM
    for command, default in ((separate, DEFAULT_SYSTEM), (batch, DEFAULT_SYSTEM), (evaluate, [DEFAULT_SYSTEM])):
        (option,) = (param for param in command.command.params if param.name == "system")
        assert option.default == default
    for track in TRACKS.values():  # what is submitted can be pushed as it is: no file needs Git LFS
        system = find_system(track.default_system)
        sizes = [ModelsFolder(ROOT / "models").artefact(name).n_bytes or 0 for name in system.artefacts]
        assert max(sizes) <= LFS_THRESHOLD_BYTES
        assert set(system.sources) == set(track.sources)


def test_options_refuse_nonsense_and_choose_a_runtime() -> None:
    cpu, gpu = Device("cpu"), Device("cuda")
    assert RunOptions(device=cpu).spectral_runtime == "onnx"
    assert RunOptions(device=cpu, precision="bf16").spectral_runtime == "torch"
    assert RunOptions(device=cpu).chunks_per_run == 1
    assert RunOptions(device=gpu).chunks_per_run == 8
    assert RunOptions(device=gpu, batch_chunks=3).chunks_per_run == 3
    for wrong in ({"runtime": "onnx", "precision": "fp16"}, {"threads": 0}, {"batch_chunks": -1}):
        with pytest.raises(ValueError, match=r"fp16|at least 1"):
            RunOptions(device=cpu, **wrong)  # type: ignore[arg-type]


def test_load_separates_and_says_where_it_runs(tiny_models: Path) -> None:
    separator = mdx.load("starter", models_dir=tiny_models, device="cpu")
    stems = separator.separate(np.zeros((2, 5_000), np.float32))
    assert tuple(stems) == MUSIC_SOURCES
    for wrong in ({"precision": "int8"}, {"runtime": "tensorrt"}, {"device": "tpu"}, {"system": "none"}, HALF_GRAPHS):
        with pytest.raises(UnknownNameError):
            mdx.load(**{"models_dir": tiny_models, **wrong})  # type: ignore[arg-type]


def test_auto_falls_back_loudly_where_the_gpu_cannot_be_used(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A driver that shows a GPU no runtime can use: auto warns and says why, cuda by name is refused."""
    monkeypatch.setattr(devices, "cuda_devices", lambda: (1, ""))
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("the GPU can be used here")
    separator = mdx.load("starter", models_dir=tiny_models, device="auto")
    assert "GPU cannot be used" in separator.setup_notes[0]
    assert "GPU cannot be used" in caplog.text
    with pytest.raises(DeviceError):
        mdx.load("starter", models_dir=tiny_models, device="cuda")


def test_sources_are_named_and_ordered_by_name() -> None:
    stems = {name: np.full((2, 3), index, np.float32) for index, name in enumerate(MUSIC_SOURCES)}
    stacked = stack_stems(stems, DEMUCS_SOURCES)
    assert stacked[0, 0, 0] == 1
    back = unstack_stems(stacked, DEMUCS_SOURCES)
    for name, stem in stems.items():
        np.testing.assert_array_equal(back[name], stem)
    with pytest.raises(ValueError, match="cannot be named"):
        unstack_stems(stacked, ("bass",))
    assert [canonical_source(name) for name in (" Speech", "sfx", "Drums")] == ["dialog", "effect", "drums"]
