"""Executes commands of documents on small files: a tree of a submission with songs, stems and a network beside it."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.audio_fixtures import noise, write_audio
from tests.graph_fixtures import saved, scaling_graph
from tests.optional_libraries import require
from tests.page_server import running_page
from tests.submission_trees import ROOT, make_tree

N_SAMPLES = 26_460
"""0.6 s: shorter stems have no level, and are left out of training."""

_executed: set[tuple[str, ...]] = set()
"""Commands that have succeeded, after their folder. They are not executed again there: their files are still there."""


def write_work_folder(folder: Path, models: Path) -> None:
    """Write the files that the documents name: a checkout with songs, true stems, and a network of one's own.

    Args:
        folder: a new one.
        models: folder of the checkout's models; commands other than those of the submission use the program's own.
    """
    make_tree(folder, models)
    shutil.copy(ROOT / ".gitignore", folder)
    song = folder / "data/test/A song"
    song.mkdir(parents=True)
    stems = {name: noise(2, N_SAMPLES, seed=seed) for seed, name in enumerate(("bass", "drums", "other", "vocals"))}
    for name, wave in {**stems, "mixture": sum(stems.values())}.items():
        write_audio(song / f"{name}.wav", wave)
    (folder / "music").mkdir()
    write_audio(folder / "music/one.wav", noise(2, N_SAMPLES))
    for suffix in ("mp3", "flac", "wav"):
        soundfile.write(folder / f"song.{suffix}", noise(2, N_SAMPLES).T, 44_100, format=suffix.upper())
    saved(folder / "mine.onnx", scaling_graph())


def execute(words: list[str], text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Execute a command in the working directory, unless it has succeeded there, and return its exit code.

    Commands of ours run in this process, which has imported them; a page is served, asked and stopped.

    Args:
        words: of the command.
        text: the block that it stands in, with its redirections.
        monkeypatch: of the test.
    """
    key = (os.getcwd(), *words)
    if key in _executed:
        return 0
    code = _exit_code(words, text, monkeypatch)
    if code == 0:
        _executed.add(key)
    return code


def _exit_code(words: list[str], text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    if words[:2] == ["mdx", "web"]:
        return _served_page(words[2:])
    if words[0] == "mdx":
        from my_submission.cli import main

        given = re.search(r"^mdx separate - .*<\s*(\S+)", text, re.M)
        if "-" in words and given:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(given[1]).read_bytes())))
        return main(words[1:])
    if words[:3] == ["python", "-m", "evaluator"]:
        from evaluator.cli import main as score

        return score(words[3:])
    if words[:3] == ["python", "-m", "training"]:
        require("lightning")
        from training.cli import main as train

        return train(words[3:])
    assert words[0] == "python", f"a marked block has a command that is not ours: {words}"
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, *words[1:]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.returncode


def _served_page(arguments: list[str]) -> int:
    """Serve a page on a free port, ask for it, and stop it with Ctrl-C."""
    words, base_path = list(arguments), ""
    for option in ("--port", "--base-path"):
        if option in words:
            at = words.index(option)
            base_path = words[at + 1] if option == "--base-path" else base_path
            del words[at : at + 2]
    here = Path.cwd()
    scratch = here.with_name(f"page {len(_executed)}")
    with running_page(scratch, *words, base_path=base_path, folder_of_work=here) as server:
        assert server.ask("/").status == 200
    return 0
