"""Checkpoints as graphs: the command, its manifest entry, and that both separate alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from my_submission.cli import main as mdx
from my_submission.errors import WeightsError
from my_submission.systems import SystemRecipe
from my_submission.weights import ModelsFolder
from tests.mechanisms.test_conditioned import HOP, net, predictor, small_system, snr_db, song
from tests.model_makers import write_manifest, write_torch
from tests.networks.test_lasaft import V2_LEAKY
from training.cli.main import main
from training.export.lasaft_checkpoints import converted

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
