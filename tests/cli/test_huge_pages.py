"""Huge pages: when a command asks for them, and that asking loses nothing of what it was called with."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from my_submission.cli import huge_pages
from my_submission.cli.huge_pages import TUNABLES, environment_with_huge_pages

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def has_tunable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_pages, "_has_tunable", lambda: True)


def policy(folder: Path, text: str) -> Path:
    path = folder / "enabled"
    path.write_text(text, encoding="ascii")
    return path


def test_asks_where_pages_are_given_on_request(tmp_path: Path) -> None:
    on_request = policy(tmp_path, "always [madvise] never\n")
    assert environment_with_huge_pages({"A": "b"}, on_request) == {"A": "b", TUNABLES: "glibc.malloc.hugetlb=1"}


def test_keeps_other_tunables(tmp_path: Path) -> None:
    on_request = policy(tmp_path, "always [madvise] never\n")
    asked = environment_with_huge_pages({TUNABLES: "glibc.malloc.check=1"}, on_request)
    assert asked == {TUNABLES: "glibc.malloc.check=1:glibc.malloc.hugetlb=1"}


@pytest.mark.parametrize("value", ["glibc.malloc.hugetlb=0", "glibc.malloc.check=1:glibc.malloc.hugetlb=1"])
def test_the_users_own_choice_stays(tmp_path: Path, value: str) -> None:
    assert environment_with_huge_pages({TUNABLES: value}, policy(tmp_path, "always [madvise] never\n")) is None


@pytest.mark.parametrize("text", ["[always] madvise never\n", "always madvise [never]\n"])
def test_no_restart_where_it_changes_nothing(tmp_path: Path, text: str) -> None:
    assert environment_with_huge_pages({}, policy(tmp_path, text)) is None


def test_no_restart_without_the_kernels_pages_or_the_tunable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment_with_huge_pages({}, tmp_path / "missing") is None
    monkeypatch.setattr(huge_pages, "_has_tunable", lambda: False)
    assert environment_with_huge_pages({}, policy(tmp_path, "always [madvise] never\n")) is None


def test_a_restart_keeps_the_process_its_arguments_and_its_exit_code(tmp_path: Path) -> None:
    on_request = policy(tmp_path, "always [madvise] never\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "from my_submission.cli import huge_pages\n"
        "huge_pages._has_tunable = lambda: True\n"
        f"huge_pages.environment_with_huge_pages.__defaults__ = (pathlib.Path({str(on_request)!r}),)\n"
        "with open('pids', 'a') as file:\n"
        "    print(os.getpid(), file=file)\n"
        "huge_pages.restart_with_huge_pages()\n"
        "print(sys.argv[1:], sys.flags.optimize, sys.stdin.read(), os.environ['GLIBC_TUNABLES'])\n"
        "sys.exit(3)\n",
        encoding="utf-8",
    )
    environment = {key: value for key, value in os.environ.items() if key != TUNABLES} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-O", str(script), "a song.wav", "-o", "ü"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, input="typed", capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout == "['a song.wav', '-o', 'ü'] 1 typed glibc.malloc.hugetlb=1\n"
    before, after = (tmp_path / "pids").read_text(encoding="utf-8").split()
    assert before == after


@pytest.mark.parametrize(("command", "restarts"), [("separate", True), ("systems", False)])
def test_commands_that_separate_restart(command: str, restarts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from my_submission import __main__ as program
    from my_submission.cli import huge_pages

    calls: list[str] = []
    monkeypatch.setattr("terminal.early.listen", lambda: None)  # this process is that of all tests
    monkeypatch.setattr("terminal.process.begin", lambda: None)
    monkeypatch.setattr(huge_pages, "restart_with_huge_pages", lambda: calls.append("restart"))
    monkeypatch.setattr(importlib.import_module("my_submission.cli.main"), "main", lambda: calls.append("main") or 0)
    monkeypatch.setattr(sys, "argv", ["mdx", command])
    monkeypatch.delitem(sys.modules, "my_submission.predictor.worker", raising=False)
    with pytest.raises(SystemExit):
        program.run()
    assert calls == (["restart", "main"] if restarts else ["main"])
