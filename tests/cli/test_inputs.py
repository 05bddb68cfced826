"""What is separated without options: folders, standard input; where stems go; what a run prints."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from my_submission.cli import main
from my_submission.stems import MUSIC_SOURCES
from tests.audio_fixtures import noise, write_audio

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `separate` in an empty folder and give its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, before: tuple[str, ...] = ()) -> tuple[int, str, str]:
        capfd.readouterr()
        words = ["-n", "starter", "--models-dir", str(tiny_models), "-d", "cpu"]
        code = main([*before, "separate", *words, *map(str, arguments)])
        return code, *capfd.readouterr()

    return call


def song(path: Path, samples: int = 12_345) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_audio(path, noise(2, samples))


def written(folder: Path) -> set[str]:
    return {str(path.parent.relative_to(folder)) for path in folder.rglob("*vocals.wav")}


def test_stems_go_to_the_folder_stems(run: Run, tmp_path: Path) -> None:
    song(tmp_path / "song.wav")
    code, out, err = run("song.wav")
    assert code == 0, err
    names = [f"song - {source}.wav" for source in sorted(MUSIC_SOURCES)]
    assert sorted(path.name for path in (tmp_path / "stems" / "song").glob("*.wav")) == names
    assert out.startswith(f"stems{os.sep}song{os.sep}: {', '.join(names)}  (")
    assert out.count("\n") == 1
    assert err.splitlines()[0].startswith("Separating song (0.3 s) with starter on the CPU, ")


def test_a_folder_is_searched_and_its_stems_are_not_separated_again(run: Run, tmp_path: Path) -> None:
    for name in ("music/a.wav", "music/album/b.wav"):
        song(tmp_path / name)
    (tmp_path / "music" / "cover.jpg").write_bytes(b"x")
    code, out, err = run("music")
    assert code == 0, err
    assert written(tmp_path / "stems") == {"a", "album/b"}
    assert "music: skipped 1 file (1 .jpg)" in err
    assert out.splitlines()[-1].startswith(f"2 songs in stems{os.sep}, 0.6 s of music  (")
    assert run("music", "-o", "music/stems")[0] == 0
    assert run("music", "-o", "music/more stems")[0] == 0
    assert written(tmp_path / "music" / "more stems") == {"a", "album/b"}
    code, out, err = run(".", "-o", "music/stems", "--skip-existing")  # now named by the working directory
    assert code == 0
    assert "16 stems of earlier separations" in err
    assert written(tmp_path / "music" / "stems") == {"a", "album/b", "music/a", "music/album/b"}


def test_quiet_prints_nothing_but_errors(run: Run, tmp_path: Path) -> None:
    song(tmp_path / "song.wav")
    assert run("song.wav", "-q") == (0, "", "")
    assert run("song.wav", before=("-q",)) == (0, "", "")
    (tmp_path / "text.wav").write_text("no sound " * 100)
    code, out, err = run("song.wav", "text.wav", "-q", "-o", "out")
    assert (code, out) == (1, "")
    assert err.splitlines()[-2].startswith("error: text: text.wav: ")


def from_pipe(content: bytes, tiny_models: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = ["separate", "-", "-n", "starter", "--models-dir", str(tiny_models), *more]
    command = [sys.executable, "-m", "my_submission", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, input=content, capture_output=True, cwd=folder, env=environment, check=False)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_standard_input_is_a_song(tiny_models: Path, tmp_path: Path) -> None:
    content = song(tmp_path / "song.flac").read_bytes()
    done = from_pipe(content, tiny_models, tmp_path, "--name", "My song")
    assert done.returncode == 0, done.stderr
    assert written(tmp_path / "stems") == {"My song"}
    record = json.loads((tmp_path / "stems" / "My song" / "separation.json").read_text(encoding="utf-8"))
    assert (record["song"], record["input"]["name"]) == ("My song", "My song")
    expected = tmp_path / "by file"
    assert main(["separate", str(tmp_path / "song.flac"), "-n", "starter", "--models-dir", str(tiny_models),
                 "-o", str(expected), "-q"]) == 0  # fmt: skip
    ours = (tmp_path / "stems" / "My song" / "My song - bass.wav").read_bytes()
    assert ours == (expected / "song" / "song - bass.wav").read_bytes()


@pytest.mark.parametrize(("content", "said"), [(b"", "it is empty"), (b"no sound" * 100, "not audio")])
def test_errors_on_standard_input_name_it(content: bytes, said: str, tiny_models: Path, tmp_path: Path) -> None:
    done = from_pipe(content, tiny_models, tmp_path)
    assert done.returncode == 1
    assert f"standard input: {said}" in done.stderr or ("standard input: " in done.stderr and said in done.stderr)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "stems").exists()


def test_a_keyboard_is_no_song(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", terminal)
    code, _, err = run("-")
    assert code == 2
    assert err.splitlines() == [
        "error: INPUT: - is standard input, which is this terminal; pipe an audio file into it",
        "help: python -m my_submission separate --help",
    ]
