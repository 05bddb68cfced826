"""The git commands that a submission needs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from my_submission.errors import InputError


def run_git(root: Path, *arguments: str, stdin: str = "") -> str:
    """Run git in a folder and return its output.

    Raises:
        InputError: git is not installed, or the command failed; the message has git's error.
    """
    if shutil.which("git") is None:
        raise InputError("git is not installed", hint="install git: a submission is pushed with it")
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # file names need not be UTF-8
        check=False,
    )
    if done.returncode:
        problem = f"git {arguments[0]} failed ({' '.join(done.stderr.split()) or done.returncode})"
        raise InputError(problem, where=root, hint="solve the problem in git's message, then try again")
    return done.stdout


def has_git_lfs() -> bool:
    """Return whether Git LFS is installed."""
    return shutil.which("git-lfs") is not None


def is_repository(root: Path) -> bool:
    """Return whether ``root`` is the top of a git working tree."""
    return shutil.which("git") is not None and (root / ".git").exists()


def pushed_names(root: Path) -> list[str]:
    """Return the names git would add from a working tree: tracked, or new and not ignored; relative and sorted.

    Includes links, tracked files that no longer exist, and files behind links.
    """
    listed = run_git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return sorted({name for name in listed.split("\0") if name})


def index_modes(root: Path) -> dict[str, str]:
    """Return the git mode of every tracked file: 100644, 100755 (executable), 120000 (link) or 160000 (submodule)."""
    listed = run_git(root, "ls-files", "-s", "-z")
    fields = (line.partition("\t") for line in listed.split("\0") if line)
    return {name: facts.split()[0] for facts, _, name in fields}


def index_line_endings(root: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the line endings of tracked files in git's index: lf, crlf, mixed, none or -text."""
    if not names:
        return {}
    listed = run_git(root, "ls-files", "--eol", "-z", "--", *(f":(literal){name}" for name in names))
    fields = (line.partition("\t") for line in listed.split("\0") if line)
    return {name: facts.split()[0].removeprefix("i/") for facts, _, name in fields}


def setting(root: Path, name: str) -> str:
    """Return a setting of the repository; empty if it is not set."""
    try:
        return run_git(root, "config", "--get", name).strip()
    except InputError:
        return ""


def lfs_tracked(root: Path, names: Iterable[str]) -> set[str]:
    """Return those of ``names`` that .gitattributes assigns to Git LFS; works outside a repository too."""
    asked = "\0".join(names)
    if not asked:
        return set()
    query = ("check-attr", "--stdin", "-z", "filter")
    if is_repository(root):
        answer = run_git(root, *query, stdin=asked + "\0")
    else:
        with tempfile.TemporaryDirectory(prefix="attributes-") as scratch:
            run_git(Path(scratch), "init", "--quiet", "--bare")
            answer = run_git(root, f"--git-dir={scratch}", f"--work-tree={root}", *query, stdin=asked + "\0")
    fields = answer.split("\0")
    return {name for name, value in zip(fields[0::3], fields[2::3], strict=False) if value == "lfs"}


def committed_sizes(root: Path) -> dict[str, int]:
    """Return the size in bytes of every file in the last commit (of the pointer for Git LFS); empty without commits."""
    try:
        listed = run_git(root, "ls-tree", "-r", "-l", "-z", "HEAD")
    except InputError:
        return {}
    sizes = {}
    for line in listed.split("\0"):
        if line:
            facts, _, name = line.partition("\t")
            size = facts.split()[3]
            sizes[name] = 0 if size == "-" else int(size)
    return sizes
