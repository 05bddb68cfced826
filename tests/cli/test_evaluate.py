"""The whole loop in one command: separate, score, replay, resume."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.cli import main
from my_submission.stems import MUSIC_SOURCES


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two songs; the second has no mixture of its own."""
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        folder = tmp_path / "set" / name
        folder.mkdir(parents=True)
        stems = {source: 0.1 * rng.standard_normal((20_000, 2)) for source in MUSIC_SOURCES}
        for source, stem in stems.items():
            soundfile.write(folder / f"{source}.wav", stem, 44_100, subtype="FLOAT")
        if name == "one":
            soundfile.write(folder / "mixture.wav", sum(stems.values()), 44_100, subtype="FLOAT")
    return tmp_path / "set"


@pytest.fixture
def evaluate(
    dataset: Path,
    tiny_models: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., str]:
    """Run the command, scoring in this process; returns what it printed."""
    monkeypatch.setattr("evaluator.cli.os.cpu_count", lambda: 1)

    def call(*more: object, models: Path = tiny_models, code: int = 0) -> str:
        capfd.readouterr()
        arguments = ["evaluate", str(dataset), "-o", str(tmp_path / "out"), "--system", "starter"]
        arguments += ["--models-dir", str(models)]
        assert main([*arguments, *map(str, more)]) == code
        printed, said = capfd.readouterr()
        return printed + said

    return call


def test_run_json_scores_and_replay_of_an_evaluation(evaluate: Callable[..., str], tmp_path: Path) -> None:
    printed = evaluate("--html", tmp_path / "replay.html")
    assert "MDX21-A" in printed
    assert "kuielab_mdxnet_A_151907" in printed
    scores = json.loads((tmp_path / "out" / "starter" / "scores.json").read_text(encoding="utf-8"))
    assert set(scores["metrics"]["mdx"]["songs"]) == {"one", "two"}
    run = json.loads((tmp_path / "out" / "starter" / "run.json").read_text(encoding="utf-8"))
    assert set(run["songs"]) == {"one", "two"}
    assert set(run["weights"]) == {f"starter/{part}" for part in (*MUSIC_SOURCES, "mixer")}
    assert run["versions"]["numpy"] == np.__version__
    assert run["songs"]["one"]["peak_memory_bytes"] > 0
    assert "<table" in (tmp_path / "replay.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_second_run_finishes_the_rest_and_scores_the_same(evaluate: Callable[..., str], tmp_path: Path) -> None:
    evaluate()
    scores = (tmp_path / "out" / "starter" / "scores.json").read_text(encoding="utf-8")
    run_file = tmp_path / "out" / "starter" / "run.json"
    run = json.loads(run_file.read_text(encoding="utf-8"))
    del run["songs"]["two"]
    run_file.write_text(json.dumps(run), encoding="utf-8")
    shutil.rmtree(tmp_path / "out" / "starter" / "two")
    printed = evaluate()
    assert "one: already complete, skipped" in printed
    record = json.loads((tmp_path / "out" / "starter" / "one" / "separation.json").read_text(encoding="utf-8"))
    assert (record["system"], record["input"]["name"]) == ("starter", "mixture.wav")
    assert "two: already complete" not in printed
    assert (tmp_path / "out" / "starter" / "scores.json").read_text(encoding="utf-8") == scores
    assert set(json.loads(run_file.read_text(encoding="utf-8"))["songs"]) == {"one", "two"}


@pytest.mark.slow
def test_other_settings_or_weights_are_not_taken_for_the_same(
    evaluate: Callable[..., str], tiny_models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluate()
    assert "skipped" not in evaluate("--budget", 100)
    assert "other weights or settings" in caplog.text
    other = tmp_path / "models"
    shutil.copytree(tiny_models, other)
    shutil.copy(other / "starter" / "bass.onnx", other / "starter" / "vocals.onnx")
    assert "skipped" not in evaluate("--budget", 100, "--allow-unverified", models=other)


def test_quiet_writes_the_scores_and_prints_nothing(evaluate: Callable[..., str], tmp_path: Path) -> None:
    assert evaluate("-q") == ""
    assert (tmp_path / "out" / "starter" / "scores.json").is_file()


def test_a_broken_song_is_reported_and_the_other_scored(
    evaluate: Callable[..., str], dataset: Path, tmp_path: Path
) -> None:
    (dataset / "one" / "mixture.wav").write_bytes(b"nothing")
    printed = evaluate(code=1)
    assert "error: one" in printed
    scores = json.loads((tmp_path / "out" / "starter" / "scores.json").read_text(encoding="utf-8"))
    assert set(scores["metrics"]["mdx"]["songs"]) == {"two"}


def test_a_folder_without_songs_is_an_error(
    tiny_models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hollow").mkdir()
    assert main(["evaluate", str(tmp_path / "hollow"), "--system", "starter", "--models-dir", str(tiny_models)]) == 1
    assert "no songs here" in capfd.readouterr().err
