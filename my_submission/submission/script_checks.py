"""Checks of the scripts that the grader runs: line endings, first line, executable bit, syntax."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from my_submission.challenge import SubmissionConfiguration
from my_submission.submission import git
from my_submission.submission.findings import Finding, fault
from my_submission.submission.tree import SubmissionTree

_GRADER_FOLDERS = ("/usr/local/bin", "/usr/bin", "/bin")
_KNOWN_INTERPRETERS = {"bash", "sh", "dash", "python", "python3", "env"}
"""Interpreters in the grader's image, which need not exist on this machine."""

_SHELLS = {"bash", "sh", "dash"}
_PARSE_SECONDS = 10.0
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHECK = "scripts"


def script_findings(tree: SubmissionTree, configuration: SubmissionConfiguration) -> Iterator[Finding]:
    """Check line endings of scripts and apt.txt, and that the grader can execute the scripts it calls."""
    called = [name for name in configuration.challenge_track.entry_files if name.endswith(".sh")]
    scripts = sorted({name for name in tree.files if name.endswith(".sh") or _is_program(tree.root / name)})
    texts = [*scripts, *(name for name in ("apt.txt",) if name in tree.files)]
    crlf = {name for name in texts if b"\r" in (tree.root / name).read_bytes()}
    for name in texts:
        if name in crlf:
            yield _crlf_finding(tree, name)
    yield from _committed_crlf_findings(tree, [name for name in texts if name not in crlf])
    for name in scripts:
        problems = list(_first_line_problems(tree.root / name, is_called=name in called))
        for problem, hint in problems:
            yield fault(_CHECK, f"{name} {problem}", hint)
        if not problems and name not in crlf:
            yield from _parse_findings(tree, name)
    modes = git.index_modes(tree.root) if tree.is_repository else {}
    for name in called:
        if name in tree.files and not _may_be_run(tree, name, modes):
            where = "in git" if name in modes else "in the file system"
            text = f"{name} is not marked as executable {where}, but the grader runs it"
            yield fault(_CHECK, text, f"chmod +x {name}, then git add --chmod=+x {name}")


def _is_program(path: Path) -> bool:
    """Return whether a file is executable and begins with ``#!``."""
    if not path.stat().st_mode & 0o111:
        return False
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def _crlf_finding(tree: SubmissionTree, name: str) -> Finding:
    n_lines = (tree.root / name).read_bytes().count(b"\r")
    effect = f"it becomes part of each {'package name' if name == 'apt.txt' else 'command'}"
    hint = f"sed -i 's/\\r$//' {name}, and add '{_pattern(name)} text eol=lf' to .gitattributes"
    return fault(_CHECK, f"{name} has Windows line endings (a carriage return on {n_lines} lines): {effect}", hint)


def _committed_crlf_findings(tree: SubmissionTree, names: list[str]) -> Iterator[Finding]:
    """Yield faults for files that have carriage returns only in git's index."""
    endings = git.index_line_endings(tree.root, names) if tree.is_repository else {}
    for name in names:
        if endings.get(name) in {"crlf", "mixed"}:
            text = f"{name} has Windows line endings in git, though not in the working tree"
            hint = f"add '{_pattern(name)} text eol=lf' to .gitattributes, then git add --renormalize {name}"
            yield fault(_CHECK, text, hint)


def _pattern(name: str) -> str:
    return f"*{PurePosixPath(name).suffix}" if name.endswith((".sh", ".py")) else name


def _first_line_problems(path: Path, *, is_called: bool) -> Iterator[tuple[str, str]]:
    """Yield problems of a script's first line with hints; only scripts that the grader calls need one."""
    first = path.read_bytes().partition(b"\n")[0]
    hint = "make '#!/usr/bin/env bash' its first line"
    if first.startswith(_BYTE_ORDER_MARK):
        yield "begins with a byte order mark, so Linux does not see its first line", "save it as UTF-8 without BOM"
        return
    if not first.startswith(b"#!"):
        if is_called:
            yield "does not begin with #!, so Linux cannot run it", hint
        return
    words = first[2:].decode(errors="replace").split()
    problem = _interpreter_problem(words)
    if problem:
        yield f"cannot be run: its first line {problem}", hint


def _interpreter_problem(words: list[str]) -> str | None:
    """Return the problem of the words after ``#!``, as a clause, or None."""
    interpreter, *arguments = words or [""]
    if not interpreter:
        return "names no interpreter"
    if not interpreter.startswith("/"):
        return f"names {interpreter}, which is not an absolute path"
    if not _exists(interpreter):
        return f"names {interpreter}, which does not exist"
    return _env_problem(arguments) if PurePosixPath(interpreter).name == "env" else None


def _env_problem(arguments: list[str]) -> str | None:
    """Return the problem of the words after ``env``, which Linux passes as one argument, or None."""
    may_be_several = arguments[:1] == ["-S"]
    program, *more = (arguments[1:] if may_be_several else arguments) or [""]
    if more and not may_be_several:
        return f"passes env more than one word ({' '.join(arguments)}), which Linux treats as one name"
    found = program in _KNOWN_INTERPRETERS or shutil.which(program, path=":".join(_GRADER_FOLDERS))
    return None if found else f"names {program or 'no program'}, which does not exist"


def _exists(interpreter: str) -> bool:
    path = PurePosixPath(interpreter)
    usual = str(path.parent) in {"/bin", "/usr/bin"} and path.name in _KNOWN_INTERPRETERS
    return usual or Path(interpreter).is_file()


def _parse_findings(tree: SubmissionTree, name: str) -> Iterator[Finding]:
    """Yield a fault for a syntax error in a shell script, without running it."""
    words = (tree.root / name).read_bytes().partition(b"\n")[0].decode(errors="replace").split()
    shell = PurePosixPath(words[-1] if words else "").name
    if shell not in _SHELLS or shutil.which(shell) is None:
        return
    try:
        done = subprocess.run(
            [shell, "-n", name],
            cwd=tree.root,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PARSE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        yield fault(_CHECK, f"{name} is not a valid shell script: {said[0]}", "correct that line")


def _may_be_run(tree: SubmissionTree, name: str, modes: dict[str, str]) -> bool:
    """Return whether the file is executable after a push: git's mode if it is tracked, else the mode git would set."""
    if name in modes:
        return modes[name] == "100755"
    if tree.is_repository and git.setting(tree.root, "core.fileMode") == "false":
        return False
    return bool((tree.root / name).stat().st_mode & 0o111)
