"""A joint network in a cascade: exact gains, a choice of its sources, graphs that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from my_submission.engines import Device
from my_submission.errors import WeightsError
from my_submission.mechanisms import JointRecipe, RunOptions
from my_submission.predictor import Predictor
from my_submission.stems import Stems
from my_submission.systems import BranchRecipe, SystemRecipe, for_stems, load_system
from my_submission.weights import ModelsFolder
from tests.model_makers import entry, write_manifest

GAINS = {"bass": 0.5, "drums": 0.3, "other": 0.2}
BINS, FRAMES = 129, 32


def write_graph(folder: Path, *, sources: str = "bass,drums,other", bins: int = BINS) -> None:
    """A models folder with a graph that multiplies the spectrum by the gain of every source."""
    gains = np.array(list(GAINS.values()), np.float32).reshape(1, 3, 1, 1, 1)
    constants = [numpy_helper.from_array(gains, "gains"), numpy_helper.from_array(np.array([1]), "axis")]
    nodes = [
        helper.make_node("Unsqueeze", ["input", "axis"], ["one"]),
        helper.make_node("Mul", ["one", "gains"], ["output"]),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 4, bins, FRAMES])
    made = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 3, 4, bins, FRAMES])
    graph = helper.make_graph(nodes, "joint", [given], [made], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"sources": sources})
    (folder / "mine").mkdir()
    onnx.save(model, str(folder / "mine/joint.onnx"))
    more = {"format": "onnx", "architecture": "joint-tfc-tdf", "geometry": {"n_fft": 256, "hop": 64}}
    write_manifest(folder, [entry("mine/joint", folder, "mine/joint.onnx", **more)])


def system(recipe: JointRecipe) -> SystemRecipe:
    return SystemRecipe(
        "joint", "for tests", recipe.sources, (BranchRecipe("joint", recipe, dict.fromkeys(recipe.sources, 1.0)),)
    )


def separated(folder: Path, recipe: SystemRecipe, song: np.ndarray) -> Stems:
    options = RunOptions(device=Device("cpu"), threads=1)
    return Predictor(load_system(recipe, ModelsFolder(folder), options)).separate(song)


@pytest.mark.parametrize("overlap", [0.0, 0.25])
@pytest.mark.parametrize("chosen", [("bass", "drums", "other"), ("other", "bass")])
def test_every_source_is_a_row_of_the_graph(tmp_path: Path, overlap: float, chosen: tuple[str, ...]) -> None:
    write_graph(tmp_path)
    song = (0.3 * np.random.default_rng(0).standard_normal((2, 9_000))).astype(np.float32)
    whole = system(JointRecipe("mine/joint", tuple(GAINS), overlap))
    stems = separated(tmp_path, for_stems(whole, chosen), song)
    assert tuple(stems) == chosen
    for source, stem in stems.items():
        np.testing.assert_allclose(stem, GAINS[source] * song, atol=1e-5)


def test_above_the_cutoff_a_source_has_its_share_of_the_topmost_bins(tmp_path: Path) -> None:
    """A graph of the lower half: its output there, and of a tone above the powers' shares 0.25 : 0.09 : 0.04."""
    write_graph(tmp_path, bins=65)
    time = np.arange(9_000) / 256
    low, high = (np.tile(0.2 * np.sin(2 * np.pi * tone * time), (2, 1)) for tone in (60, 100))  # bins of 65 and of 129
    stems = separated(tmp_path, system(JointRecipe("mine/joint", tuple(GAINS))), (low + high).astype(np.float32))
    inside = slice(500, -500)  # the ends of the song are reflected
    for source, gain in GAINS.items():
        share = gain**2 / sum(other**2 for other in GAINS.values())
        expected = gain * low + share * high
        np.testing.assert_allclose(stems[source][:, inside], expected[:, inside], atol=3e-4)  # the ends of chunks


def test_other_sources_than_the_graph_names_are_refused(tmp_path: Path) -> None:
    write_graph(tmp_path)
    with pytest.raises(WeightsError, match=r"estimates bass, drums, other, not all of vocals"):
        separated(tmp_path, system(JointRecipe("mine/joint", ("vocals",))), np.zeros((2, 2_000), np.float32))


@pytest.mark.parametrize("sources", ["", "bass,drums"])
def test_a_graph_that_does_not_name_its_sources_is_refused(tmp_path: Path, sources: str) -> None:
    write_graph(tmp_path, sources=sources)
    with pytest.raises(WeightsError, match="one of them per source"):
        separated(tmp_path, system(JointRecipe("mine/joint", ("bass",))), np.zeros((2, 2_000), np.float32))
