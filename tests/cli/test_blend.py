"""``blend`` on two small songs: what it fits, prints, writes and refuses, and the system that comes of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.cli.main import main
from my_submission.predictor import load
from my_submission.stems import MUSIC_SOURCES

ROOT = Path(__file__).resolve().parents[2]
RATE = 44_100
SAMPLES = 3 * RATE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two songs of tones, clicks and noise, each with its true stems."""
    folder = tmp_path_factory.mktemp("songs")
    seconds = np.arange(SAMPLES) / RATE
    for number in (1, 2):
        rng = np.random.default_rng(number)
        stems = {
            "bass": 0.3 * np.sin(2 * np.pi * 55 * number * seconds),
            "drums": 0.4 * rng.standard_normal(SAMPLES) * np.exp(-20 * (seconds % 0.5)),
            "other": 0.2 * np.sign(np.sin(2 * np.pi * 330 * seconds)) * (seconds % 1),
            "vocals": 0.2 * np.sin(2 * np.pi * 440 * seconds + 3 * np.sin(2 * np.pi * 5 * seconds)),
        }
        (folder / f"song {number}").mkdir()
        for name, stem in stems.items():
            wide = np.stack([stem, 0.8 * stem], axis=1).astype(np.float32)
            soundfile.write(folder / f"song {number}" / f"{name}.wav", wide, RATE, subtype="FLOAT")
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def test_the_blend_is_fitted_shown_and_written(
    songs: Path, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    shutil.copytree(ROOT / "models", models)
    command = ["blend", str(songs), "--systems", "starter,starter-conditioned", "--work", str(work)]
    files = ["--report", str(tmp_path / "fit.json"), "--picture", str(tmp_path / "fit.png")]
    assert main([*command, *files, "--save", str(models), "--name", "mine"]) == 0
    out = capsys.readouterr().out
    assert "held-out gain" in out
    figures = json.loads((tmp_path / "fit.json").read_text())
    assert figures["songs"] == 2
    for source in MUSIC_SOURCES:
        found = figures["sources"][source]
        assert sum(found["shares"].values()) == pytest.approx(1)
        assert found["blend"] >= max(found["alone"].values()) - 0.2  # errors relative to each song, not mean SDR
        assert len(found["sweep"]) == 11
        assert found["sweep"][10][1] == pytest.approx(found["alone"]["starter"], abs=1e-9)
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")

    mixture = sum(soundfile.read(path, dtype="float32")[0].T for path in sorted((songs / "song 1").glob("*.wav")))
    made = load("mine", models_dir=models, device="cpu").separate(mixture)
    plain = {
        name: load(name, models_dir=models, device="cpu").separate(mixture)
        for name in ("starter", "starter-conditioned")
    }
    text = (models / "systems.toml").read_text()
    if "wiener" not in text:
        for source in MUSIC_SOURCES:
            shares = figures["sources"][source]["shares"]
            expected = sum(share * plain[name][source] for name, share in shares.items())
            np.testing.assert_allclose(made[source], expected, atol=3e-3)  # written with three digits
    assert set(made) == set(MUSIC_SOURCES)

    assert main([*command, "--save", str(models), "--name", "mine", "-q"]) == 1
    assert "has a system 'mine' already" in capsys.readouterr().err
    assert (models / "systems.toml").read_text() == text


def test_stems_that_are_there_are_used_again(songs: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["blend", str(songs), "--systems", "starter,starter-conditioned", "--work", str(work)]
    assert main([*command, "-q"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("[[systems]]\n")
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.wav")}
    assert len(before) == 16
    assert main([*command, "-q"]) == 0
    assert capsys.readouterr().out == printed
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.wav")} == before


def test_what_cannot_be_blended_is_refused(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = ["--work", str(tmp_path / "work")]
    assert main(["blend", str(songs), "--systems", "starter", *work]) == 2
    assert main(["blend", str(songs), "--systems", "starter,startre", *work]) == 2
    assert main(["blend", str(tmp_path / "nothing"), "--systems", "starter,starter-conditioned", *work]) == 1
    assert "nothing" in capsys.readouterr().err
