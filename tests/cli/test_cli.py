"""The command line as a user meets it: files in, stems out, exit codes, messages."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from my_submission.cli import main
from my_submission.predictor import SeparationReport
from my_submission.stems import MUSIC_SOURCES
from my_submission.version import __version__
from tests.model_makers import TINY_N_FFT, entry, write_manifest, write_torch

ROOT = Path(__file__).resolve().parents[2]
LAYOUT = ("--filename", "{song}/{stem}")


@pytest.fixture
def run(tiny_models: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `separate` and give its exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(["separate", "-n", "starter", "--models-dir", str(tiny_models), *LAYOUT, *map(str, arguments)])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def write_song(path: Path, *, samples: int = 12_345, rate: int = 44_100, channels: int = 2, **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal((samples, channels))
    soundfile.write(path, noise, rate, **more)
    return path


def stems_of(folder: Path, suffix: str = "wav") -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


SET = ["bass.wav", "drums.wav", "other.wav", "separation.json", "vocals.wav"]


@pytest.mark.parametrize(
    "name", ["plain", "with spaces and (brackets)", "músíca–Ünïcödé", "日本語の歌", "-dash", "a'b\"c"]
)
def test_stems_of_unusually_named_songs_are_written(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, name: str
) -> None:
    song = write_song(tmp_path / f"{name}.wav")
    code, out, err = run("-o", tmp_path / "out", "--", song)
    assert (code, err.count("error")) == (0, 0), err
    assert stems_of(tmp_path / "out" / name) == SET
    info = soundfile.info(tmp_path / "out" / name / "vocals.wav")
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (12_345, 44_100, 2, "PCM_16")
    assert name in out


@pytest.mark.parametrize(
    ("suffix", "rate", "channels"),
    [("flac", 48_000, 2), ("ogg", 44_100, 2), ("mp3", 44_100, 1), ("aiff", 22_050, 1), ("wav", 8_000, 2)],
)
def test_stems_keep_rate_and_length_of_any_input_and_are_stereo(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, suffix: str, rate: int, channels: int
) -> None:
    song = write_song(tmp_path / f"song.{suffix}", rate=rate, channels=channels)
    code, _, err = run(song, "-o", tmp_path / "out", "--format", "flac", "--bit-depth", "24")
    assert code == 0, err
    info = soundfile.info(tmp_path / "out" / "song" / "bass.flac")
    assert (info.samplerate, info.channels, info.subtype) == (rate, 2, "PCM_24")
    assert info.frames == soundfile.info(song).frames


@pytest.mark.parametrize("samples", [1, 2, 100])
def test_very_short_songs(run: Callable[..., tuple[int, str, str]], tmp_path: Path, samples: int) -> None:
    song = write_song(tmp_path / "short.wav", samples=samples)
    assert run(song, "-o", tmp_path / "out")[0] == 0
    assert soundfile.info(tmp_path / "out" / "short" / "bass.wav").frames == samples


def test_silence_stays_silence(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros((9_000, 2)), 44_100)
    assert run(tmp_path / "silence.wav", "-o", tmp_path / "out")[0] == 0
    stem, _ = soundfile.read(tmp_path / "out" / "silence" / "vocals.wav")
    assert len(stem) == 9_000
    assert np.isfinite(stem).all()


def test_a_folder_in_the_challenge_s_layout_with_report_and_skip(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    for name in ("song 2", "song 10"):
        write_song(tmp_path / "set" / name / "mixture.wav")
    code, out, _ = run(tmp_path / "set", "-o", tmp_path / "out", "--report", tmp_path / "report.json")
    assert code == 0
    assert out.index("song 2") < out.index("song 10")
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [song["system"] for song in report["songs"]] == ["starter", "starter"]
    assert report["failed"] == []
    before = (tmp_path / "out" / "song 2" / "bass.wav").stat().st_mtime_ns
    (tmp_path / "out" / "song 10" / "bass.wav").write_bytes(b"cut")
    code, out, _ = run(tmp_path / "set", "-o", tmp_path / "out", "--skip-existing")
    assert code == 0
    assert "song 2: already complete, skipped" in out
    assert "song 10: complete" not in out
    assert (tmp_path / "out" / "song 2" / "bass.wav").stat().st_mtime_ns == before
    assert soundfile.info(tmp_path / "out" / "song 10" / "bass.wav").frames == 12_345


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "separation.json").read_text(encoding="utf-8"))
    return record


def test_the_record_says_what_the_stems_are(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav", rate=48_000)
    assert run(song, "-o", tmp_path / "out", "--bit-depth", "32f", "--refine", "never")[0] == 0
    folder = tmp_path / "out" / "song"
    record = record_of(folder)
    assert record["input"] | {"stamp": ""} == {
        "name": "song.wav",
        "bytes": song.stat().st_size,
        "stamp": "",
        "sha256": hashlib.sha256(song.read_bytes()).hexdigest(),
    }
    assert (record["song"], record["system"], record["version"]) == ("song", "starter", __version__)
    assert record["format"] == {"file_format": "wav", "subtype": "FLOAT"}
    assert set(record["made_with"]["weights"]) == {f"starter/{part}" for part in (*MUSIC_SOURCES, "mixer")}
    assert record["made_with"]["settings"]["refine"] == "never"
    assert record["report"]["left_out"] == []
    assert record["report"]["source_rate"] == 48_000
    for source in MUSIC_SOURCES:
        content = (folder / f"{source}.wav").read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        assert record["stems"][source] == {"file": f"{source}.wav", "bytes": len(content), "sha256": digest}
        assert record["report"]["levels"][source]["peak"] > 0
    assert str(tmp_path) not in json.dumps(record)  # the folder can be given away


@pytest.mark.slow
def test_skipping_believes_the_record_and_nothing_else(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    song, out = write_song(tmp_path / "song.wav"), tmp_path / "out"
    folder = out / "song"
    skip = ("-o", out, "--skip-existing")

    def is_skipped(*more: object) -> bool:
        code, printed, err = run(song, *skip, *more)
        assert code == 0, err
        return "song: already complete, skipped" in printed

    assert not is_skipped()
    assert is_skipped()
    os.utime(song, (1, 1))
    assert is_skipped()  # another time stamp, the same content
    assert not is_skipped("--refine", "always")
    assert not is_skipped("--refine", "always", "--format", "flac")
    assert stems_of(folder) == sorted([*(f"{source}.flac" for source in MUSIC_SOURCES), "separation.json"])
    assert not is_skipped()
    assert stems_of(folder) == SET
    write_song(song, samples=12_345 - 1)
    assert not is_skipped()
    (folder / "separation.json").unlink()
    code, _, err = run(song, *skip)
    assert code == 0
    assert "bass.wav, drums.wav, other.wav, vocals.wav existed without a separation.json" in err
    assert is_skipped()
    document = record_of(folder)
    document["report"]["separated"] = False  # there was no time for more than shares of the mixture
    (folder / "separation.json").write_text(json.dumps(document))
    assert not is_skipped()


def bad_inputs(folder: Path) -> dict[str, tuple[Path, str]]:
    """A file of every bad kind, and what its message must say."""
    whole = write_song(folder / "whole.wav").read_bytes()
    kinds = {
        "empty": (folder / "empty.wav", "empty"),
        "truncated": (folder / "truncated.wav", "truncated"),
        "text": (folder / "text.wav", "not"),
        "no samples": (folder / "nothing.wav", "no samples"),
        "three channels": (write_song(folder / "three.wav", channels=3), "3 channels"),
        "nan": (folder / "nan.wav", "NaN"),
        "infinity": (folder / "inf.wav", "infinity"),
        "absent": (folder / "absent.wav", "no such file"),
        "no songs": (folder / "hollow", "no song"),
    }
    kinds["empty"][0].write_bytes(b"")
    kinds["truncated"][0].write_bytes(whole[: len(whole) // 2])
    kinds["text"][0].write_text("this is a text, not a sound\n" * 50)
    soundfile.write(kinds["no samples"][0], np.zeros((0, 2)), 44_100)
    for kind, value in (("nan", np.nan), ("infinity", np.inf)):
        samples = np.zeros((5_000, 2), np.float32)
        samples[4_321, 1] = value
        soundfile.write(kinds[kind][0], samples, 44_100, subtype="FLOAT")
    kinds["no songs"][0].mkdir()
    return kinds


KINDS = ["empty", "truncated", "text", "no samples", "three channels", "nan", "infinity", "absent", "no songs"]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_named_with_its_cure_and_nothing_is_left(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, kind: str
) -> None:
    path, said = bad_inputs(tmp_path)[kind]
    code, _, err = run(path, "-o", tmp_path / "out")
    assert code == 1
    assert str(path) in err
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").rglob("*.*"))


def test_a_bad_song_does_not_stop_the_good_ones(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    bad = bad_inputs(tmp_path)["text"][0]
    first, last = write_song(tmp_path / "first.wav"), write_song(tmp_path / "last.wav")
    code, _, err = run(first, bad, last, "-o", tmp_path / "out", "--report", tmp_path / "report.json")
    assert code == 1
    assert "1 song failed, 2 done" in err
    assert stems_of(tmp_path / "out" / "first") == stems_of(tmp_path / "out" / "last") == SET
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [failure["song"] for failure in report["failed"]] == ["text"]
    assert len(report["songs"]) == 2


def test_stems_that_were_there_survive_a_failure(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav")
    assert run(song, "-o", tmp_path / "out")[0] == 0
    before = (tmp_path / "out" / "song" / "bass.wav").read_bytes()
    song.write_bytes(song.read_bytes()[:5_000])
    assert run(song, "-o", tmp_path / "out")[0] == 1
    assert (tmp_path / "out" / "song" / "bass.wav").read_bytes() == before


def test_an_output_that_cannot_be_written(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav")
    (tmp_path / "file").write_text("in the way")
    code, _, err = run(song, "-o", tmp_path / "file")
    assert code == 1
    assert "a file is where a folder should be" in err
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_permission_is_an_error(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    song = write_song(tmp_path / "song.wav")
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, err = run(song, "-o", tmp_path / "locked")
    assert code == 1
    assert "no permission" in err


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file size are a POSIX matter")
def test_a_full_disk_is_an_error_and_leaves_no_stems(tiny_models: Path, tmp_path: Path) -> None:
    """A limit on file sizes stands for the full disk: a message, exit 1, nothing under a final name."""
    song = write_song(tmp_path / "song.wav", samples=400_000)
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000));"
        "from my_submission.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    where = ["--system", "starter", "--models-dir", str(tiny_models)]
    arguments = ["separate", str(song), "-o", str(tmp_path / "out"), *where]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "error: song: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/song/*"))


def test_stems_are_not_written_over_the_references(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "one" / "mixture.wav")
    (tmp_path / "set" / "one" / "bass.wav").write_bytes(b"reference")
    code, _, err = run(tmp_path / "set", "-o", tmp_path / "set")
    assert code == 1
    assert "beside the mixture" in err
    assert (tmp_path / "set" / "one" / "bass.wav").read_bytes() == b"reference"


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_song_is_not_replaced_by_its_own_stem(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, suffix: str
) -> None:
    song = write_song(tmp_path / "out" / "bass" / f"bass.{suffix}")
    other = write_song(tmp_path / "out" / "x" / "vocals.wav")
    first = write_song(tmp_path / "x.wav")
    before = song.read_bytes(), other.read_bytes()
    code, _, err = run(first, song, other, "-o", tmp_path / "out", "--format", suffix)
    assert code == 1
    assert "3 songs failed" not in err  # vocals.wav goes to out/vocals
    assert f"x: {other}: this file would be replaced, but it is an input" in err
    assert f"bass: {song}: this file would be replaced, but it is an input" in err
    assert (song.read_bytes(), other.read_bytes()) == before
    assert stems_of(tmp_path / "out" / "bass") == [song.name]
    assert stems_of(tmp_path / "out" / "x") == ["vocals.wav"]


def test_a_report_does_not_replace_a_song(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav")
    before = song.read_bytes()
    code, _, err = run(song, "-o", tmp_path / "out", "--report", song)
    assert (code, song.read_bytes()) == (1, before)
    assert "it is an input" in err
    assert not (tmp_path / "out").exists()


def test_odd_names_stay_inside_the_output_and_same_names_are_both_done(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    names = ["...wav", "..wav", ".wav", "disc1/01.wav", "disc2/01.wav"]
    songs = [write_song(tmp_path / "in" / name, samples=500, format="WAV") for name in names]
    code, _, err = run(*songs, songs[0], "-o", tmp_path / "deep" / "er" / "out")
    assert code == 0, err
    folders = sorted({path.parent.relative_to(tmp_path) for path in tmp_path.rglob("bass.wav")})
    assert folders == [Path("deep/er/out", name) for name in ("...wav", "..wav", ".wav", "disc1/01", "disc2/01")]
    assert "separated once" in err
    assert "disc1/01, disc2/01" in err


def test_a_budget_factor_is_multiplied_by_the_length(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav", samples=44_100)
    code, _, _ = run(song, "-o", tmp_path / "out", "--budget-factor", "100", "--report", tmp_path / "r.json")
    assert code == 0
    report = json.loads((tmp_path / "r.json").read_text())["songs"][0]
    assert report["budget_seconds"] == pytest.approx(100.0)
    assert report["is_as_published"] is True
    assert any(part["is_refinement"] for part in report["parts"])


def test_pictures_are_outside_the_time_limit(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report of the run is that of the stems, as in ``separation.json``: drawing makes no song late."""
    seen: list[SeparationReport] = []

    def draw(report: SeparationReport, *_: object, **__: object) -> dict[str, Path]:
        seen.append(report)
        return {}

    monkeypatch.setattr("my_submission.cli.separate.write_pictures", draw)
    song = write_song(tmp_path / "song.wav", samples=500)
    code, _, err = run(song, "-o", tmp_path / "out", "--budget", "99", "--pictures", "--report", tmp_path / "r.json")
    assert code == 0, err
    report = json.loads((tmp_path / "r.json").read_text())["songs"][0]
    assert (report["seconds"], report["late_by_seconds"]) == (seen[0].seconds, 0.0)
    assert "then its pictures" in err


@pytest.mark.parametrize("budget", ["1e10", "1e300"])
def test_a_budget_longer_than_a_thread_can_wait_and_more_threads_than_processors(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, budget: str
) -> None:
    song = write_song(tmp_path / "song.wav", samples=500)
    code, _, err = run(song, "-o", tmp_path / "out", "--budget", budget, "--threads", "100000", "--refine", "never")
    assert code == 0, err
    assert "100000 threads were requested" in err


def test_refinement_is_for_the_user_to_say(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """Without a limit stems are the published ones unless more is asked for; a budget says what it planned."""
    song = write_song(tmp_path / "song.wav", samples=44_100)
    refined = {}
    for name, more in {
        "plain": (),
        "always": ("--refine", "always"),
        "never": ("--refine", "never", "--budget", "99"),
    }.items():
        code, _, err = run(song, "-o", tmp_path / name, "--report", tmp_path / f"{name}.json", *more)
        assert code == 0
        assert ("planned: " in err) == (name == "never")
        report = json.loads((tmp_path / f"{name}.json").read_text())["songs"][0]
        refined[name] = any(part["is_refinement"] for part in report["parts"])
    assert refined == {"plain": False, "always": True, "never": False}
    stems = {name: (tmp_path / name / "song" / "bass.wav").read_bytes() for name in refined}
    assert stems["plain"] == stems["never"]
    assert stems["plain"] != stems["always"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["separate"],
        ["separate", "x.wav", "-o", "out", "--budget", "0"],
        *(["separate", "x.wav", "-o", "out", "--budget", text] for text in ("-1", "nan", "inf", "1e400", "ten", "")),
        *(["separate", "x.wav", "-o", "out", "--threads", text] for text in ("0", "-2", "1.5", "9" * 5_000)),
        ["separate", "x.wav", "-o", "out", "--budget", "5", "--budget-factor", "1"],
        ["separate", "x.wav", "-o", "out", "--bit-depth", "8"],
        ["separate", "x.wav", "-o", "out", "--format", "mp3", "--bit-depth", "16"],
        ["separate", "x.wav", "-o", "out", "--bitrate", "320k"],
        ["unheard-of"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    if not arguments:
        assert ("separate" in out, err) == (True, "")
    else:
        assert out == ""
        wrong, help_line = err.splitlines()
        assert wrong.startswith("error: ")
        assert len(wrong) < 200
        assert help_line.startswith("help: python -m my_submission")
        assert help_line.endswith(" --help")


def test_unknown_names_are_2_and_name_what_there_is(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav")
    code, _, err = run(song, "-o", tmp_path / "out", "--system", "kuielab")
    assert code == 2
    assert "kuielab-a" in err
    code, _, err = run(song, "-o", tmp_path / "out", "--device", "gpu")
    assert code == 2
    assert "cuda" in err


def test_missing_weights_say_how_to_get_them(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav")
    code, _, err = run(song, "-o", tmp_path / "out", "--system", "kuielab-a", "--models-dir", ROOT / "models")
    if code == 0:
        pytest.skip("the published weights are here")
    assert code == 1
    assert "kuielab-a cannot run: its weights are missing. Run python -m my_submission fetch kuielab-a (" in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX matter")
def test_a_kill_in_the_middle_leaves_no_stem_and_the_next_run_cleans_up(tiny_models: Path, tmp_path: Path) -> None:
    """The process is stopped while its part files lie there; no final name may exist."""
    song = write_song(tmp_path / "song.wav", samples=44_100 * 120)
    out = tmp_path / "out" / "song"
    command = [sys.executable, "-m", "my_submission", "separate", str(song), "-o", str(tmp_path / "out"), *LAYOUT]
    where = ["--system", "starter", "--models-dir", str(tiny_models)]
    process = subprocess.Popen([*command, *where], cwd=ROOT, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(out.glob(".*.part")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert list(out.glob(".*.part"))
    assert not list(out.glob("[!.]*"))
    write_song(song)
    assert main(["separate", str(song), "-o", str(tmp_path / "out"), *where, *LAYOUT]) == 0
    assert stems_of(out) == SET


def test_systems_verify_and_fetch(tiny_models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["systems", "--models-dir", str(tiny_models), "--json"]) == 0
    described = {row["name"]: row for row in json.loads(capfd.readouterr().out)}
    assert described["starter"]["missing"] == []
    assert described["starter"]["cutoffs_hz"]["bass"] == pytest.approx(64 * 44_100 / 1024)
    assert described["kuielab-a"]["published"]["song"] == 7.236
    assert main(["systems", "--models-dir", str(tiny_models)]) == 0
    assert "starter" in capfd.readouterr().out
    assert main(["verify", "--models-dir", str(tiny_models)]) == 0
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tiny_models / "manifest.json", copy)
    assert main(["verify", "starter", "--models-dir", str(copy)]) == 1
    assert main(["fetch", "starter", "--models-dir", str(copy), "--from", str(tiny_models)]) == 0
    assert main(["verify", "starter", "--models-dir", str(copy)]) == 0
    (copy / "starter" / "bass.onnx").write_bytes(b"damaged")
    assert main(["verify", "--models-dir", str(copy)]) == 1
    assert main(["fetch", "no/such", "--models-dir", str(copy)]) == 2


def test_a_graph_that_does_not_fit_the_manifest(
    run: Callable[..., tuple[int, str, str]], tiny_models: Path, tmp_path: Path
) -> None:
    song = write_song(tmp_path / "song.wav")
    shutil.copytree(tiny_models, tmp_path / "models")
    document = json.loads((tmp_path / "models" / "manifest.json").read_text())
    document["artefacts"][1]["geometry"] = {"n_fft": 64, "hop": 32}
    write_manifest(tmp_path / "models", document["artefacts"])
    code, _, err = run(song, "-o", tmp_path / "out", "--models-dir", tmp_path / "models")
    assert code == 1
    assert "keeps 64 bins" in err


@pytest.mark.needs("torch")
def test_a_file_that_is_no_mixer(run: Callable[..., tuple[int, str, str]], tiny_models: Path, tmp_path: Path) -> None:
    import torch

    song = write_song(tmp_path / "song.wav")
    folder = tmp_path / "models"
    shutil.copytree(tiny_models, folder)
    entries = json.loads((folder / "manifest.json").read_text())["artefacts"]
    for source in MUSIC_SOURCES:
        renamed = entry(f"kuielab-a/{source}", folder, f"starter/{source}.onnx", format="onnx", architecture="tfc-tdf")
        entries.append({**renamed, "geometry": {"n_fft": TINY_N_FFT[source], "hop": 64}})
    state = {"weight": torch.ones(8, 10)}
    entries.append(write_torch(folder, "kuielab-a/mixer", state, "mixer", suffix="ckpt"))
    write_manifest(folder, entries)
    code, _, err = run(
        song, "-o", tmp_path / "out", "--system", "kuielab-a-networks", "--models-dir", folder, "--allow-unverified"
    )
    assert code == 1
    assert "linear.weight" in err


def test_what_a_header_got_wrong_is_told_and_reported(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    song = write_song(tmp_path / "killed.wav", samples=44_100)
    data = bytearray(song.read_bytes())
    data[40:44] = bytes(4)
    song.write_bytes(data)
    surround = write_song(tmp_path / "surround.wav", channels=6)
    report = tmp_path / "report.json"
    code, _, err = run(song, surround, "-o", tmp_path / "out", "--downmix", "--report", report)
    assert code == 0, err
    assert "killed: its header states 0.000 s of audio; 1.000 s more follow and were read" in err
    first, second = json.loads(report.read_text())["songs"]
    assert first["source_samples"] == 44_100
    assert [len(each["input_notes"]) for each in (first, second)] == [1, 1]
    assert first["input_notes"][0] in first["notes"]
    assert "were mixed down to stereo" in second["input_notes"][0]
