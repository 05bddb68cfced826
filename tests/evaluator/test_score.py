"""The score command end to end: tables, files, failures, resuming, processes."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evaluator import runner
from evaluator.audio import FileStem
from evaluator.cli import RESULTS_FOLDER, main
from evaluator.errors import EvaluationError, ScoresError
from evaluator.metrics import global_sdr, si_sdr
from evaluator.pairs import StemPair
from evaluator.scores import check_scores, column, read_scores, summarise, to_json, write_atomically
from evaluator.scoring import METRICS, Row, score_song

RATE = 2000
SOURCES = ("bass", "drums", "other", "vocals")


def write_song(root: Path, name: str, *, seed: int, noise: float | None = None, seconds: float = 2.5) -> None:
    """A song of four noises, or its estimate with ``noise`` added; 16 bits."""
    rng = np.random.default_rng(seed)
    (root / name).mkdir(parents=True, exist_ok=True)
    for source in SOURCES:
        audio = 0.1 * rng.standard_normal((int(seconds * RATE), 2))
        if noise is not None:
            audio = audio + noise * np.random.default_rng(seed + 1000).standard_normal(audio.shape)
        soundfile.write(root / name / f"{source}.wav", audio, RATE)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    references, estimates = tmp_path / "the set", tmp_path / "our estimates"
    for index, name in enumerate(("a", "b", "ç d")):
        write_song(references, name, seed=index)
        write_song(estimates, name, seed=index, noise=0.01 * (index + 1))
    return references, estimates


def score(*arguments: str | Path) -> int:
    return main(["score", *map(str, arguments), "--jobs", "1"])


def wav(path: Path) -> np.ndarray:
    return np.asarray(soundfile.read(path)[0].T)


def test_scores_equal_the_pure_functions(folders: tuple[Path, Path], tmp_path: Path) -> None:
    references, estimates = folders
    out = tmp_path / "out" / "scores.json"
    assert score(references, estimates, "--metric", "mdx", "si-sdr", "--json", out) == 0
    document = read_scores(out)
    assert (document["dataset"], document["system"], document["n_songs"]) == ("the set", "our estimates", 3)
    for name in ("a", "b", "ç d"):
        for metric, function in (("mdx", global_sdr), ("si-sdr", si_sdr)):
            row = document["metrics"][metric]["songs"][name]
            for source in SOURCES:
                pair = [wav(root / name / f"{source}.wav") for root in folders]
                assert abs(row[source] - function(*pair)) < 1e-9
            assert abs(row["song"] - np.mean([row[source] for source in SOURCES])) < 1e-12
    for key in (*SOURCES, "song"):
        values = column(document, "mdx", key).values()
        assert abs(document["metrics"]["mdx"]["mean"][key] - np.mean(list(values))) < 1e-12


def test_tables_name_their_metric(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    metrics = ["mdx", "bsseval", "bsseval-sdr", "si-sdr"]
    assert score(*folders, "--sources", "bass, drums", "--metric", *metrics) == 0
    printed = capsys.readouterr()
    for title in ("mdx [dB] — global SDR", "bsseval [dB] — BSSEval v4", "bsseval-sdr [dB]", "si-sdr [dB] — scale"):
        assert title in printed.out
    assert "mean of 3" in printed.out
    assert "median of 3" in printed.out
    assert "[3/3]" in printed.err


def test_bsseval_and_museval_agree_through_the_door(folders: tuple[Path, Path], tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("museval cannot be imported without ffmpeg and ffprobe on PATH")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("museval", reason="museval, the oracle, is not installed")
        references, estimates = folders
        for folder in folders:
            for name in ("b", "ç d"):
                shutil.rmtree(folder / name)
            for source in ("other", "vocals"):
                (folder / "a" / f"{source}.wav").unlink()
        out = tmp_path / "scores.json"
        assert score(references, estimates, "--metric", "bsseval", "museval", "--json", out) == 0
    metrics = read_scores(out)["metrics"]
    for source in ("bass", "drums"):
        for ratio in ("SDR", "ISR", "SIR", "SAR"):
            ours, theirs = (metrics[m]["songs"]["a"][source][ratio] for m in ("bsseval", "museval"))
            assert abs(ours - theirs) < 1e-3


def test_baseline_scores_the_mixture_itself(folders: tuple[Path, Path], tmp_path: Path) -> None:
    references, _ = folders
    out = tmp_path / "scores.json"
    assert score(references, "--baseline", "--json", out) == 0
    stems = [wav(references / "a" / f"{source}.wav") for source in SOURCES]
    expected = global_sdr(stems[0], np.sum(stems, axis=0) / 4)
    assert abs(read_scores(out)["metrics"]["mdx"]["songs"]["a"]["bass"] - expected) < 1e-9


def test_bad_songs_are_named_and_the_others_scored(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    references, estimates = folders
    for index, name in enumerate(("no estimate", "short", "rate", "mono", "hole", "half a song")):
        write_song(references, name, seed=50 + index)
        write_song(estimates, name, seed=50 + index, noise=0.01)
    shutil.rmtree(estimates / "no estimate")
    soundfile.write(estimates / "short" / "drums.wav", np.zeros((10, 2)), RATE)
    soundfile.write(estimates / "rate" / "drums.wav", np.zeros((int(2.5 * RATE), 2)), RATE * 2)
    soundfile.write(estimates / "mono" / "drums.wav", np.zeros((int(2.5 * RATE), 1)), RATE)
    (estimates / "hole" / "drums.wav").unlink()
    (references / "half a song" / "drums.wav").unlink()
    (references / "mixture only").mkdir()
    shutil.copy(references / "a" / "bass.wav", references / "mixture only" / "mixture.wav")
    out = tmp_path / "scores.json"
    assert score(references, estimates, "--json", out) == 1
    document = read_scores(out)
    assert set(document["metrics"]["mdx"]["songs"]) == {"a", "b", "ç d"}
    expected = {
        "no estimate": "no estimate in",
        "short": "estimate drums has 10 samples, its reference 5000",
        "rate": "estimate drums has 4000 Hz, its reference 2000",
        "mono": "estimate drums has 1 channels, its reference 2",
        "hole": "no estimate for drums",
        "half a song": "no reference for drums",
        "mixture only": "no reference for bass, drums, other, vocals",
    }
    assert set(document["failed"]) == set(expected)
    said = capsys.readouterr().err
    for song, reason in expected.items():
        assert reason in document["failed"][song]
        assert f"{song}: " in said
    assert "7 songs not scored" in said
    assert "3 done" in said


def test_silence_is_reported_not_raised(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    references, estimates = folders
    soundfile.write(references / "a" / "bass.wav", np.zeros((int(2.5 * RATE), 2)), RATE)
    soundfile.write(estimates / "b" / "drums.wav", np.zeros((int(2.5 * RATE), 2)), RATE)
    out = estimates.parent / "scores.json"
    metrics = [metric for metric in METRICS if metric != "museval"]
    assert score(*folders, "--sources", "bass,drums", "--metric", *metrics, "--json", out) == 0
    document = read_scores(out)
    assert document["silent"] == {
        "a": {"references": ["bass"], "estimates": []},
        "b": {"references": [], "estimates": ["drums"]},
    }
    assert document["metrics"]["bsseval"]["songs"]["a"]["bass"]["SDR"] is None
    assert document["metrics"]["bsseval"]["songs"]["a"]["drums"]["SIR"] is not None
    assert document["metrics"]["si-sdr"]["songs"]["a"]["bass"] is None
    assert document["metrics"]["mdx"]["songs"]["a"]["bass"] < 0
    assert "reference bass is silent" in capsys.readouterr().err


def test_interrupted_and_started_again_it_finishes_the_rest(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, resumed = tmp_path / "whole.json", tmp_path / "resumed.json"
    assert score(*folders, "--no-results", "--json", whole) == 0
    assert not (folders[1] / RESULTS_FOLDER).exists()
    scored: list[str] = []
    real = score_song

    def stopping(pair: StemPair, metric: str) -> object:
        stem = pair.references[0]
        assert isinstance(stem, FileStem)
        scored.append(stem.path.parent.name)
        if len(scored) == 2:
            raise KeyboardInterrupt
        return real(pair, metric)

    monkeypatch.setattr(runner, "score_song", stopping)
    assert score(*folders, "--json", resumed) == 130
    assert "score the remaining songs" in capsys.readouterr().err
    assert not resumed.exists()
    assert score(*folders, "--json", resumed) == 0
    assert scored == ["a", "b", "b", "ç d"]
    assert resumed.read_text() == whole.read_text()
    assert "a: mdx already scored" in capsys.readouterr().err


def test_a_changed_stem_is_scored_anew_and_damaged_results_too(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, estimates = folders
    assert score(*folders) == 0
    write_song(estimates, "a", seed=0, noise=0.05)
    (stored,) = (estimates / RESULTS_FOLDER / "mdx").glob("b-*.json")
    stored.write_text("{")
    capsys.readouterr()
    out = tmp_path / "scores.json"
    assert score(*folders, "--json", out) == 0
    said = capsys.readouterr().err
    assert said.count("already scored") == 1
    assert "ç d: mdx already scored" in said
    expected = global_sdr(*(wav(root / "a" / "bass.wav") for root in folders))
    assert abs(read_scores(out)["metrics"]["mdx"]["songs"]["a"]["bass"] - expected) < 1e-9
    assert [path.name for path in stored.parent.iterdir() if path.name.startswith(".")] == []


def test_several_processes_score_the_same(folders: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    assert score(*folders, "--no-results", "--json", one) == 0
    command = [sys.executable, "-m", "evaluator", "score", *map(str, folders), "--no-results", "--jobs", "2"]
    done = subprocess.run([*command, "--json", str(two)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert two.read_text() == one.read_text()


def test_a_process_killed_from_outside_is_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from evaluator import cli, runner\n"
        "def run_task(task):\n"
        "    os.kill(os.getpid(), 9)\n"
        "runner.run_task = run_task\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(cli.main(sys.argv[1:]))\n"
    )
    (tmp_path / "killed.py").write_text(code)
    command = [sys.executable, str(tmp_path / "killed.py"), "score", *map(str, folders), "--no-results", "--jobs", "2"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "a scoring process was killed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_run_leaves_no_process_behind(folders: tuple[Path, Path], tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil", reason="psutil, which waits for a process of another parent, is absent")
    code = (
        "import os, sys, threading\n"
        "from evaluator import cli, runner\n"
        "def run_task(task):\n"
        "    print(os.getpid(), file=sys.stderr, flush=True)\n"
        "    threading.Event().wait(300)\n"
        "runner.run_task = run_task\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(cli.main(sys.argv[1:]))\n"
    )
    (tmp_path / "stalling.py").write_text(code)
    command = [
        sys.executable,
        str(tmp_path / "stalling.py"),
        "score",
        *map(str, folders),
        "--no-results",
        "--jobs",
        "2",
    ]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stderr is not None
        worker = psutil.Process(int(run.stderr.readline()))
        run.kill()
        worker.wait(timeout=60)
    assert not worker.is_running()


def test_csv_holds_every_number(folders: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    assert score(*folders, "--metric", "mdx", "bsseval-sdr", "--csv", out, "--json", tmp_path / "s.json") == 0
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    document = read_scores(tmp_path / "s.json")
    assert len([row for row in rows if row["metric"] == "mdx"]) == 4 * 5
    found = {(r["metric"], r["song"], r["source"], r["ratio"]): r["value_db"] for r in rows}
    assert float(found["mdx", "ç d", "other", "SDR"]) == document["metrics"]["mdx"]["songs"]["ç d"]["other"]
    median = document["metrics"]["bsseval-sdr"]["median"]["bass"]["SDR"]
    assert float(found["bsseval-sdr", "(median)", "bass", "SDR"]) == median
    assert found["bsseval-sdr", "a", "bass", "SIR"] == ""


def test_museval_json_is_read_by_museval(folders: tuple[Path, Path], tmp_path: Path) -> None:
    files: list[str | Path] = ["--museval-json", tmp_path / "mus", "--json", tmp_path / "s"]
    assert score(*folders, "--sources", "bass,drums", "--metric", "bsseval", *files) == 0
    track = json.loads((tmp_path / "mus" / "test" / "a.json").read_text())
    assert [target["name"] for target in track["targets"]] == ["bass", "drums"]
    assert [frame["time"] for frame in track["targets"][0]["frames"]] == [0.0, 1.0]
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("the rest needs museval, which needs ffmpeg and ffprobe on PATH")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        museval = pytest.importorskip("museval", reason="museval is not installed")
        store = museval.EvalStore()
        store.add_eval_dir(str(tmp_path / "mus"))
        theirs = store.agg_frames_tracks_scores()
    ours = read_scores(tmp_path / "s")["metrics"]["bsseval"]["median"]
    for source in ("bass", "drums"):
        for ratio in ("SDR", "ISR", "SIR", "SAR"):
            assert abs(theirs[source, ratio] - ours[source][ratio]) < 2e-5


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["score"],
        ["score", "REF"],
        ["score", "REF", "EST", "--baseline"],
        ["score", "REF", "EST", "--metric", "loudness"],
        ["score", "REF", "EST", "--jobs", "0"],
        ["score", "REF", "EST", "--museval-json", "out"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_folders_that_hold_nothing_are_exit_code_1(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    references, _ = folders
    assert score(tmp_path / "nowhere", references) == 1
    write_song(tmp_path / "strangers", "x", seed=1)
    assert score(references, tmp_path / "strangers") == 1
    (tmp_path / "mixtures" / "x").mkdir(parents=True)
    shutil.copy(references / "a" / "bass.wav", tmp_path / "mixtures" / "x" / "mixture.wav")
    assert score(tmp_path / "mixtures", references) == 1
    said = capsys.readouterr().err
    assert "no song has stems" in said
    assert "nowhere: no such folder" in said
    assert "no song has a reference" in said


def test_an_unwritable_result_is_exit_code_1(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert score(*folders, "--json", tmp_path / "file" / "scores.json") == 1
    assert "cannot be written" in capsys.readouterr().err


def test_unknown_metric_is_an_error(folders: tuple[Path, Path]) -> None:
    stems = {source: FileStem(folders[0] / "a" / f"{source}.wav") for source in SOURCES}
    with pytest.raises(EvaluationError, match="no metric 'loudness'"):
        score_song(StemPair.open(stems, stems, SOURCES), "loudness")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "not a JSON object"),
        ({"schema": 2}, "schema is 2"),
        ({"schema": 1}, "dataset"),
        ({"schema": 1, "dataset": "x", "metrics": {}}, "metrics is empty"),
        ({"schema": 1, "dataset": "x", "metrics": {"loudness": {}}}, "loudness is not a metric"),
        ({"schema": 1, "dataset": "x", "metrics": {"mdx": {}}}, r"mdx\.songs"),
        ({"schema": 1, "dataset": "x", "metrics": {"mdx": {"songs": {"a": {"bass": "7"}}}}}, "a: bass is not a number"),
        ({"schema": 1, "dataset": "x", "metrics": {"mdx": {"songs": {"a": {"bass": 7}}}}}, r"\(mean\)"),
        ({"schema": 1, "dataset": "x", "metrics": {"bsseval": {"songs": {"a": {"bass": 7}}}}}, "object of ratios"),
    ],
)
def test_documents_that_are_no_scores_are_refused(document: object, message: str) -> None:
    with pytest.raises(ScoresError, match=message):
        check_scores(document)


def test_the_example_of_the_design_is_accepted() -> None:
    check_scores(
        {
            "schema": 1,
            "dataset": "…",
            "metrics": {
                "mdx": {"songs": {"s": {"bass": 7.1, "song": 6.8}}, "mean": {"bass": 7.1, "song": 6.8}},
                "bsseval": {
                    "songs": {"s": {"vocals": {"SDR": 7.0, "ISR": 12.1, "SIR": 14.0, "SAR": 7.5}}},
                    "median": {"vocals": {"SDR": 7.0}},
                },
            },
        }
    )


def test_files_that_are_no_scores_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("hello")
    for name in ("text.json", "absent.json"):
        with pytest.raises(ScoresError, match=name):
            read_scores(tmp_path / name)


def test_summaries_leave_out_what_is_not_there() -> None:
    rows: list[Row] = [{"bass": 1.0, "song": 1.0}, {"bass": None, "song": 2.0}]
    assert summarise("mdx", rows, ["bass"]) == {"bass": 1.0, "song": 1.5}
    framewise = [{"bass": {"SDR": value}} for value in (1.0, None, 2.0, 9.0)]
    assert summarise("bsseval", framewise, ["bass"])["bass"] == {"SDR": 2.0, "ISR": None, "SIR": None, "SAR": None}


def test_json_is_strict_and_writing_leaves_no_traces(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"value": math.nan})
    write_atomically(tmp_path / "x.json", to_json({"a": 1}))
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_processes_need_to_be_at_least_one() -> None:
    with pytest.raises(ValueError, match="0 processes"):
        list(runner.run_tasks([], n_processes=0))
