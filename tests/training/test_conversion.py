"""Checkpoints as graphs: the command, its manifest entry, and that both separate alike."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from my_submission.cli import main as mdx
from my_submission.engines import Device
from my_submission.engines.waveform_onnx import WaveformGraph
from my_submission.errors import WeightsError
from my_submission.geometry import OverlapChunking
from my_submission.mechanisms import RunOptions, WaveformRecipe
from my_submission.stems import DEMUCS_SOURCES
from my_submission.systems import BranchRecipe, SystemRecipe, load_system
from my_submission.weights import ModelsFolder
from tests.mechanisms.test_conditioned import HOP, net, predictor, small_system, snr_db, song
from tests.model_makers import write_manifest, write_torch
from tests.networks.test_lasaft import V2_LEAKY
from tests.reference_vectors import FOLDER as REFERENCE
from training.cli.main import main
from training.export.conversion import converted

NAME = "lasaft-v2/medium"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with one checkpoint."""
    folder = tmp_path / "models"
    folder.mkdir()
    entry = write_torch(folder, NAME, net(V2_LEAKY).state_dict(), "lasaft-v2-leaky", suffix="ckpt")
    write_manifest(folder, [{**entry, "geometry": {"n_fft": 64, "hop": HOP, "frames": 32}}])
    return folder


def test_a_converted_checkpoint_separates_alike(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "graphs"
    assert main(["convert", NAME, "--models-dir", str(models), "--out", str(out)]) == 0
    assert "parity" in capsys.readouterr().out
    artefact = ModelsFolder(out).artefact(NAME)
    assert (artefact.format, artefact.architecture, artefact.target) == ("onnx", "lasaft-v2-leaky", None)
    assert artefact.geometry is not None
    assert (artefact.geometry.n_fft, artefact.geometry.hop, artefact.geometry.frames) == (64, HOP, None)
    system: SystemRecipe = small_system(NAME)
    by_checkpoint, by_graph = (predictor(folder, system).separate(song(2_000)) for folder in (models, out))
    assert min(snr_db(by_checkpoint[source], by_graph[source]) for source in by_graph) >= 100
    assert mdx(["verify", NAME, "--models-dir", str(out)]) == 0
    assert mdx(["verify", NAME, "--models-dir", str(models)]) == 0
    assert "graph opens" in capsys.readouterr().out
    write_manifest(out, [{**_entry(out), "geometry": {"n_fft": 128, "hop": HOP}}])
    assert mdx(["verify", NAME, "--models-dir", str(out)]) == 1
    assert "n_fft=128 of the manifest" in capsys.readouterr().out


def _entry(folder: Path) -> dict[str, object]:
    import json

    (entry,) = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["artefacts"]
    return dict(entry)


def test_what_cannot_be_converted_is_told(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", NAME, "--models-dir", str(models), "--out", str(models)]) == 1
    assert "is the folder of the checkpoints" in capsys.readouterr().err
    out = tmp_path / "graphs"
    converted(NAME, models, out)
    with pytest.raises(WeightsError, match="is a graph already"):
        converted(NAME, out, tmp_path / "more")
    write_manifest(models, [{**_entry(models), "geometry": {"n_fft": 64, "hop": HOP}}])
    with pytest.raises(WeightsError, match="does not state the number of frames"):
        converted(NAME, models, out)


def test_demucs_split_as_a_graph_is_the_original_and_separates_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The authors' network and output, through the command; then a song of a length that the export has not seen."""
    name = "aimless/demucs-split"
    with np.load(REFERENCE / "options" / "demucs_split.npz") as stored:
        arrays = {key: stored[key] for key in stored.files if key != "config"}
    state = {f"model.{key[6:]}": torch.from_numpy(arrays[key]) for key in arrays if key.startswith("state/")}
    models, out = tmp_path / "models", tmp_path / "graphs"
    models.mkdir()
    write_manifest(models, [write_torch(models, name, {"state_dict": state}, "demucs-split", suffix="ckpt")])
    assert main(["convert", name, "--models-dir", str(models), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert float(re.search(r"parity ([0-9.]+) dB", printed)[1]) >= 100
    artefact = ModelsFolder(out).artefact(name)
    assert (artefact.format, artefact.architecture, artefact.geometry) == ("onnx", "demucs-split", None)
    made = WaveformGraph.open(out / f"{name}.onnx", device=Device("cpu"), threads=1).run(arrays["input/x"])
    expected = arrays["output/y"]
    assert snr_db(expected, made[..., : expected.shape[-1]]) >= 100
    assert not made[..., expected.shape[-1] :].any()

    recipe = WaveformRecipe(name, DEMUCS_SOURCES, "none", OverlapChunking(5_000, 0.5))
    branch = BranchRecipe("network", recipe, dict.fromkeys(DEMUCS_SOURCES, 1.0))
    system = SystemRecipe("split", "for tests", DEMUCS_SOURCES, (branch,))
    by_checkpoint, by_graph = (predictor(folder, system).separate(song(13_001)) for folder in (models, out))
    assert min(snr_db(by_checkpoint[source], by_graph[source]) for source in by_graph) >= 100
    assert mdx(["verify", name, "--models-dir", str(out)]) == 0
    assert "graph opens" in capsys.readouterr().out
    mono = replace(system, branches=(replace(branch, recipe=replace(recipe, sources=DEMUCS_SOURCES[:2])),))
    with pytest.raises(WeightsError, match="must have 2 sources and 2 channels"):
        predictor(out, replace(mono, sources=DEMUCS_SOURCES[:2]))
    with pytest.raises(WeightsError, match="runs in fp32 on onnxruntime alone"):
        load_system(system, ModelsFolder(out), RunOptions(device=Device("cpu"), runtime="torch"))
