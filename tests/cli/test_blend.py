"""``blend`` on small songs: what it fits, prints, writes and refuses, and the system that comes of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evaluator.metrics import global_sdr
from my_submission.cli import blend_report
from my_submission.cli.main import main
from my_submission.predictor import load

RATE = 44_100
SAMPLES = 30_000
SOURCES = ("bass", "vocals")
OTHER = """schema = 1

[[systems]]
name = "other"

[[systems.branches]]
kind = "networks"
networks = { bass = "starter/vocals", vocals = "starter/bass" }
"""


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three songs whose bass is on the left alone and whose vocals are on the right alone."""
    folder = tmp_path_factory.mktemp("songs")
    for number in (1, 2, 3):
        rng = np.random.default_rng(number)
        (folder / f"song {number}").mkdir()
        for side, name in enumerate(SOURCES):
            wide = np.zeros((SAMPLES, 2), np.float32)
            wide[:, side] = 0.2 * rng.standard_normal(SAMPLES)
            soundfile.write(folder / f"song {number}" / f"{name}.wav", wide, RATE, subtype="FLOAT")
    return folder


@pytest.fixture
def models(tiny_models: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(tiny_models, tmp_path / "models"))
    (folder / "systems.toml").write_text(OTHER, encoding="utf-8")
    return folder


def command(songs: Path, models: Path, work: Path) -> list[str]:
    fixed = ["--models-dir", str(models), "--work", str(work), "--precision", "fp32"]
    return ["blend", str(songs), "--systems", "starter,other", *fixed]


@pytest.mark.slow
def test_the_blend_is_fitted_shown_written_and_used(
    songs: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Left and right tell the sources apart, which a Mixer can use and shares cannot: the system written does."""
    files = ["--report", str(tmp_path / "fit.json"), "--picture", str(tmp_path / "fit.png")]
    given = [*command(songs, models, tmp_path / "work"), "--save", str(models), "--name", "mine"]
    assert main([*given, *files]) == 0
    out = capsys.readouterr().out
    assert "Mixer over" in out
    figures = json.loads((tmp_path / "fit.json").read_text())
    assert figures["songs"] == 3
    for source in SOURCES:
        found = figures["sources"][source]
        assert sum(found["shares"].values()) == pytest.approx(1)
        assert len(found["sweep"]) == 11
        assert found["sweep"][10][1] == pytest.approx(found["alone"]["starter"], abs=1e-9)
    assert figures["mixer"]["is_written"]
    assert figures["mixer"]["held_out_gain"]["low"] > 10
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")

    true = {name: soundfile.read(songs / "song 2" / f"{name}.wav", dtype="float32")[0].T for name in SOURCES}
    mixture = true["bass"] + true["vocals"]
    made = load("mine", models_dir=models, device="cpu", precision="fp32").separate(mixture)
    plain = load("starter", models_dir=models, device="cpu", precision="fp32").separate(mixture)
    for source, stem in true.items():
        assert global_sdr(stem, made[source]) > 20
        assert global_sdr(stem, plain[source]) < 5

    text = (models / "systems.toml").read_text()
    before = sorted((tmp_path / "work").rglob("*"))
    again = command(songs, models, tmp_path / "elsewhere")
    assert main([*again, "--save", str(models), "--name", "mine"]) == 1
    assert "has a system 'mine' already" in capsys.readouterr().err
    assert (models / "systems.toml").read_text() == text
    assert not (tmp_path / "elsewhere").exists()  # refused before the work

    assert main([*command(songs, models, tmp_path / "work"), "-q"]) == 0  # stems that are there are used again
    printed = capsys.readouterr().out
    assert printed.startswith("[[systems]]\n")
    assert printed.replace("my-blend", "mine") in text
    assert sorted((tmp_path / "work").rglob("*")) == before


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--systems", "starter"], 2, "fewer than two"),
        (["--systems", "starter,startre"], 2, "there is no system 'startre'"),
        (["--save", "SONGS"], 1, "manifest.json"),
        (["--save", "MODELS", "--name", "My Blend"], 1, "is not lower-case words"),
        (["--save", "MODELS", "--name", "starter"], 1, "'starter' is a system of this program"),
    ],
)
def test_what_cannot_be_blended_is_refused_before_the_work(
    songs: Path,
    models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    status: int,
    message: str,
) -> None:
    places = {"SONGS": str(songs), "MODELS": str(models)}
    given = command(songs, models, tmp_path / "work")
    if "--systems" in more:
        del given[2:4]
    assert main([*given, *(places.get(word, word) for word in more)]) == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_three_systems_can_be_written(
    songs: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check before the work accepts shares of any number of systems; the work itself is left out here."""
    third = OTHER.replace("schema = 1\n", "").replace('"other"', '"third"')
    (models / "systems.toml").write_text(OTHER + third, encoding="utf-8")

    def stop(*arguments: object) -> None:
        raise KeyError("the work begins")

    monkeypatch.setattr("my_submission.cli.blend._separate_all", stop)
    given = command(songs, models, tmp_path / "work")
    given[3] = "starter,other,third"
    with pytest.raises(KeyError, match="the work begins"):
        main([*given, "--save", str(models), "--name", "mine"])


def test_folders_without_songs_or_stems_are_refused(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path / "nothing", models, tmp_path / "work")) == 1
    assert "nothing" in capsys.readouterr().err
    (tmp_path / "songs").mkdir()
    soundfile.write(tmp_path / "songs" / "guitar.wav", np.zeros((1_000, 2)), RATE)
    assert main(command(tmp_path / "songs", models, tmp_path / "work")) == 1
    assert "has true stems in all songs" in capsys.readouterr().err


def test_gains_in_words() -> None:
    gain = blend_report.Gain
    assert blend_report.in_words(gain(0.0, 0.0, 0.0, 0)) == "needs two songs"
    assert blend_report.in_words(gain(0.5, 0.5, 0.5, 1)) == "+0.50"
    assert blend_report.in_words(gain(-0.25, -1.0, 0.5, 3)) == "-0.25 (-1.00 … +0.50)"
