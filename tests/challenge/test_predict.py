"""The 2021 entry point: environment, layout, limits, a kill, and the organisers' own evaluator in place of ours."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import predict
from my_submission.predictor import SeparationReport
from my_submission.stems import MUSIC_SOURCES
from my_submission.submission.confinement import grader_file

ROOT = Path(__file__).resolve().parents[2]
STEMS = [f"{source}.wav" for source in MUSIC_SOURCES]

MINIMAL_RUNNER = '''
"""A runner written from the contract alone: what the organisers' file must offer."""

import os
from pathlib import Path


class MusicDemixingPredictor:
    def run(self):
        self.prediction_setup()
        results = Path(os.environ["RESULTS_DATASET_PATH"])
        for mixture in sorted(Path(os.environ["TEST_DATASET_PATH"]).glob("*/mixture.wav")):
            folder = results / mixture.parent.name
            folder.mkdir(parents=True)
            names = ("bass", "drums", "other", "vocals")
            paths = {f"{name}_file_path": str(folder / f"estimate of {name}.wav") for name in names}
            self.prediction(mixture_file_path=str(mixture), **paths)
'''


def write_songs(folder: Path, names: list[str], *, samples: int = 30_000) -> None:
    for index, name in enumerate(names):
        noise = 0.1 * np.random.default_rng(index).standard_normal((samples + index, 2))
        (folder / name).mkdir(parents=True)
        soundfile.write(folder / name / "mixture.wav", noise, 44_100)


def environment(folder: Path, models: Path, **more: str) -> dict[str, str]:
    """The grader's variables, and nothing of them left from outside."""
    ours = ("INFERENCE_", "AICROWD_", "PARTIAL_", "MDX_", "PYTHONPATH")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    paths = {"TEST_DATASET_PATH": str(folder / "test"), "RESULTS_DATASET_PATH": str(folder / "results")}
    return {**kept, **paths, "MDX_MODELS_DIR": str(models), "MDX_SYSTEM": "starter", **more}


def run(env: dict[str, str], root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "predict.py"]
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)


def test_stems_have_the_challenge_s_layout_format_and_length(tmp_path: Path, tiny_models: Path) -> None:
    write_songs(tmp_path / "test", ["one", "another song"])
    done = run(environment(tmp_path, tiny_models))
    assert done.returncode == 0, done.stderr
    for index, name in enumerate(["one", "another song"]):
        assert sorted(path.name for path in (tmp_path / "results" / name).iterdir()) == STEMS
        for stem in STEMS:
            info = soundfile.info(tmp_path / "results" / name / stem)
            found = (info.frames, info.samplerate, info.channels, info.subtype, info.format)
            assert found == (30_000 + index, 44_100, 2, "PCM_16", "WAV")


def test_default_folders_are_below_the_working_directory(tmp_path: Path, tiny_models: Path) -> None:
    write_songs(tmp_path / "data" / "test", ["one"])
    env = environment(tmp_path, tiny_models, PYTHONPATH=str(ROOT))
    del env["TEST_DATASET_PATH"], env["RESULTS_DATASET_PATH"]
    command = [sys.executable, str(ROOT / "predict.py")]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "data" / "results" / "one").iterdir()) == STEMS


def test_partial_runs(tmp_path: Path, tiny_models: Path) -> None:
    write_songs(tmp_path / "test", ["one", "two"])
    assert run(environment(tmp_path, tiny_models, PARTIAL_RUN_MUSIC_NAMES="two")).returncode == 0
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["two"]


def test_a_broken_song_costs_only_itself(tmp_path: Path, tiny_models: Path) -> None:
    write_songs(tmp_path / "test", ["a", "b", "c"])
    (tmp_path / "test" / "b" / "mixture.wav").write_bytes(b"no sound")
    done = run(environment(tmp_path, tiny_models))
    assert done.returncode == 1
    assert "1 of 3 songs failed" in done.stderr
    assert "Traceback" not in done.stderr
    for name in ("a", "c"):
        assert sorted(path.name for path in (tmp_path / "results" / name).iterdir()) == STEMS


def test_missing_songs_and_missing_weights_are_said(tmp_path: Path, tiny_models: Path) -> None:
    done = run(environment(tmp_path, tiny_models))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert str(tmp_path / "test") in done.stderr
    done = run(environment(tmp_path, tiny_models, TEST_DATASET_PATH=str(tmp_path / ("x" * 300))))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "the name is too long for this file system" in done.stderr
    write_songs(tmp_path / "test", ["one"])
    done = run(environment(tmp_path, tiny_models, MDX_SYSTEM="kuielab-a"))
    assert (done.returncode, "Traceback" in done.stderr) in {(1, False)}
    assert "kuielab-a/bass" in done.stderr


class SpyPredictor:
    """Stands for the system: writes silent stems and remembers the budget."""

    sources = MUSIC_SOURCES

    def __init__(self) -> None:
        self.budgets: list[float] = []

    def separate_file(
        self, path: Path, directory: Path, *, budget_seconds: float, spent_seconds: float, keeps_tags: bool
    ) -> SeparationReport:
        assert not keeps_tags  # the grader's files hold samples and nothing else
        self.budgets.append(budget_seconds)
        info = soundfile.info(path)
        outputs = {source: Path(directory) / f"{source}.wav" for source in self.sources}
        for output in outputs.values():
            soundfile.write(output, np.zeros((info.frames, 2)), info.samplerate)
        named = {source: str(output) for source, output in outputs.items()}
        return SeparationReport("spy", info.samplerate, info.frames, (), 0.0, budget_seconds, 0, {}, {}, outputs=named)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 240.0),
        ({"INFERENCE_PER_MUSIC_TIMEOUT_SECONDS": "1000"}, 1000.0),
        ({"INFERENCE_PER_MUSIC_TIMEOUT_FACTOR": "1.57"}, 2 * 1.57),
        ({"INFERENCE_PER_MUSIC_TIMEOUT_FACTOR": "1.57", "INFERENCE_PER_MUSIC_TIMEOUT_SECONDS": "3"}, 3.0),
    ],
)
def test_limits_of_the_environment_become_budgets(
    variables: dict[str, str], expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_songs(tmp_path / "test", ["one"], samples=88_200)
    spy = SpyPredictor()
    monkeypatch.setattr(predict, "build_predictor", lambda _: spy)
    for name in list(os.environ):
        if name.startswith(("INFERENCE_", "AICROWD_", "PARTIAL_", "MDX_")):
            monkeypatch.delenv(name)
    for name, value in environment(tmp_path, tmp_path, **variables).items():
        monkeypatch.setenv(name, value)
    assert predict.main() == 0
    assert spy.budgets == [pytest.approx(0.95 * expected)]


@pytest.mark.slow
def test_each_song_is_reported_where_asked(tmp_path: Path, tiny_models: Path) -> None:
    write_songs(tmp_path / "test", ["one", "two"])
    reports = tmp_path / "reports.jsonl"
    assert run(environment(tmp_path, tiny_models, MDX_REPORT_PATH=str(reports))).returncode == 0
    lines = [json.loads(line) for line in reports.read_text(encoding="utf-8").splitlines()]
    assert [Path(line["input_path"]).parent.name for line in lines] == ["one", "two"]
    assert all(line["complete"] for line in lines)


def copied_tree(folder: Path, runner: str) -> Path:
    """What a grader has before it: our package and entry point, its own evaluator."""
    tree = folder / "tree"
    for package in ("my_submission", "terminal"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("predict.py", "submission.toml"):
        shutil.copy(ROOT / name, tree)
    (tree / "evaluator").mkdir()
    (tree / "evaluator" / "__init__.py").touch()  # without it, an installed package of this name would come first
    (tree / "evaluator" / "music_demixing.py").write_text(runner, encoding="utf-8")
    return tree


def test_a_runner_that_is_not_ours(tmp_path: Path, tiny_models: Path) -> None:
    """With the organisers' evaluator in place, and file names of its own choosing, everything still works."""
    tree = copied_tree(tmp_path, MINIMAL_RUNNER)
    write_songs(tmp_path / "test", ["one"])
    done = run(environment(tmp_path, tiny_models), tree)
    assert done.returncode == 0, done.stderr
    found = sorted(path.name for path in (tmp_path / "results" / "one").iterdir())
    assert found == [f"estimate of {stem}" for stem in STEMS]


SLOW_DRIVER = """
import time
from my_submission.mechanisms import chunks

quick = chunks.chunk_estimates

def slow(engine, mixture, spans, **more):
    time.sleep(0.2 * len(spans))  # the time of a network of the published size, without its processor time
    return quick(engine, mixture, spans, **more)

chunks.chunk_estimates = slow
import predict
predict.leave(predict.main())  # as predict.py ends: abandoned work may still be busy
"""


def graded(tree: Path, folder: Path, models: Path, *command: str, **more: str) -> tuple[int, list[dict[str, object]]]:
    """Run a tree under the runner written from the contract; its exit code and what it recorded."""
    record = folder / "record.jsonl"
    env = environment(folder, models, AICROWD_IS_GRADING="true", REHEARSAL_RECORD=str(record), **more)
    done = subprocess.run(
        [sys.executable, *(command or ("predict.py",))], cwd=tree, env=env, capture_output=True, text=True, check=False
    )
    lines = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
    return done.returncode, [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the 2021 runner needs SIGALRM")
def test_the_runner_of_the_contract_and_all_its_variables(tmp_path: Path, tiny_models: Path) -> None:
    tree = copied_tree(tmp_path, grader_file("mdx21.py").read_text(encoding="utf-8"))
    write_songs(tmp_path / "test", ["a", "b", "c"])
    limits = {"INFERENCE_SETUP_TIMEOUT_SECONDS": "300", "INFERENCE_PER_MUSIC_TIMEOUT_SECONDS": "120"}
    code, record = graded(tree, tmp_path, tiny_models, PARTIAL_RUN_MUSIC_NAMES="c,a", **limits)
    assert code == 0
    setup, *songs = record
    assert setup["setup_limit"] == 300
    assert [(song["song"], song["limit"], song["error"]) for song in songs] == [("c", 120, None), ("a", 120, None)]
    for name in ("a", "c"):
        assert sorted(path.name for path in (tmp_path / "results" / name).iterdir()) == STEMS
    assert not (tmp_path / "results" / "b").exists()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the 2021 runner needs SIGALRM")
@pytest.mark.parametrize(
    "limit", [{"INFERENCE_PER_MUSIC_TIMEOUT_SECONDS": "6"}, {"INFERENCE_PER_MUSIC_TIMEOUT_FACTOR": "2"}]
)
def test_a_song_that_would_overrun_is_finished_inside_its_limit(
    limit: dict[str, str], tmp_path: Path, tiny_models: Path
) -> None:
    """68 runs of 0.2 s each do not fit 6 s: the runner's alarm would end the song, were the budget not kept."""
    tree = copied_tree(tmp_path, grader_file("mdx21.py").read_text(encoding="utf-8"))
    (tree / "driver.py").write_text(SLOW_DRIVER, encoding="utf-8")
    write_songs(tmp_path / "test", ["long"], samples=3 * 44_100)
    reports, cache = tmp_path / "reports.jsonl", str(tmp_path / "cache")
    code, record = graded(
        tree, tmp_path, tiny_models, "driver.py", MDX_REPORT_PATH=str(reports), MDX_CACHE_DIR=cache, **limit
    )
    assert (code, record[-1]["error"]) == (0, None)
    assert record[-1]["limit"] == pytest.approx(6.0, abs=1e-3)
    for stem in STEMS:
        assert soundfile.info(tmp_path / "results" / "long" / stem).frames == 3 * 44_100
    assert json.loads(reports.read_text(encoding="utf-8"))["left_out"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX matter")
def test_a_kill_in_the_middle_leaves_no_half_written_stem(tmp_path: Path, tiny_models: Path) -> None:
    write_songs(tmp_path / "test", ["one"], samples=44_100 * 120)
    out = tmp_path / "results" / "one"
    process = subprocess.Popen(
        [sys.executable, "predict.py"], cwd=ROOT, env=environment(tmp_path, tiny_models), stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(out.glob(".*.part")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert list(out.glob(".*.part"))
    assert not [path for path in out.iterdir() if path.name in STEMS]
