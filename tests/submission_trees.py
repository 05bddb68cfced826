"""Submission trees for tests: this package, a tiny system, and ways to break them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from my_submission.submission.requirement_versions import IndexAnswer

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "predict.py",
    "evaluate_locally.py",
    "run.sh",
    "requirements.txt",
    "constraints.txt",
    "apt.txt",
    "LICENSE",
    "README.md",
    ".gitattributes",
)
LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 2255665\n"


INDEX = {"torch": ("2.13.0", "2.12.0"), "onnxruntime-gpu": ("1.30.0", "1.20.0")}
TRIED = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)


def ask(name: str, options: Sequence[str]) -> IndexAnswer:
    """A package index that knows few packages and those that were tried, and needs no network."""
    tried = tuple(version for known, version in TRIED if known.lower() == name.lower())
    return IndexAnswer(INDEX.get(name, tried))


def make_tree(folder: Path, models: Path, *, track: str = "mdx21", system: str = "starter") -> Path:
    """A good tree: the package as it is, the tiny system as its starter, a git repository without a commit."""
    shutil.copytree(models, folder / "models")
    for package in ("my_submission", "evaluator", "terminal"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    configure(folder, track=track, system=system)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def configure(folder: Path, *, track: str, system: str = "starter") -> None:
    """Write the configuration and the aicrowd.json that follows from it."""
    from my_submission.challenge import read_configuration
    from my_submission.challenge.aicrowd_json import aicrowd_text

    lines = [f'system = "{system}"', f'track = "{track}"', 'authors = ["someone"]', 'description = "a test"']
    lines += ["external_dataset_used = true", 'device = "cpu"']
    (folder / "submission.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = aicrowd_text(read_configuration(folder / "submission.toml"))
    (folder / "aicrowd.json").write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Break:
    """One way to break a tree.

    Attributes:
        name: of the fault, for the test's own name.
        apply: changes the tree.
        says: regular expression the fault must match.
        cure: regular expression the cure must match.
        options: more arguments of ``submit check``.
    """

    name: str
    apply: Callable[[Path], None]
    says: str
    hint: str
    options: tuple[str, ...] = ()


def _point(tree: Path) -> None:
    (tree / "models/starter/bass.onnx").write_text(LFS_POINTER, encoding="utf-8")


def _flip(tree: Path) -> None:
    path = tree / "models/starter/drums.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _edit_aicrowd(tree: Path, change: Callable[[dict[str, object]], object]) -> None:
    path = tree / "aicrowd.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def _drop_requirement(tree: Path) -> None:
    path = tree / "requirements.txt"
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("soundfile")]
    path.write_text("\n".join(kept), encoding="utf-8")


def _append(tree: Path, name: str, code: str) -> None:
    path = tree / name
    path.write_text(path.read_text(encoding="utf-8") + code, encoding="utf-8")


def _in_prediction(tree: Path, code: str) -> None:
    path = tree / "predict.py"
    text = path.read_text(encoding="utf-8")
    marker = '        """Separate one song and write every stem to its path."""\n'
    assert text.count(marker) == 1
    path.write_text(text.replace(marker, f"{marker}        {code}\n"), encoding="utf-8")


def _crlf(tree: Path, name: str) -> None:
    path = tree / name
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def _first_line(tree: Path, line: str) -> None:
    path = tree / "run.sh"
    path.write_text(line + "\n" + path.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")


def _link(tree: Path, name: str, target: str | Path) -> None:
    (tree / name).unlink(missing_ok=True)
    (tree / name).symlink_to(target)


def _link_in_a_circle(tree: Path) -> None:
    _link(tree, "x", "y")
    _link(tree, "y", "x")


def _link_to_ignored(tree: Path) -> None:
    _link(tree, "x.py", "ignored.py")
    (tree / "ignored.py").write_text("", encoding="utf-8")
    (tree / ".gitignore").write_text("ignored.py\n", encoding="utf-8")


_NETWORK = "\nimport urllib.request\n\nurllib.request.urlopen('http://example.org/weights')\n"

BREAKS = (
    Break("LFS pointer", _point, r"bass\.onnx is a Git LFS pointer", "fetch starter/bass|git lfs pull"),
    Break("wrong hash", _flip, r"starter/drums: .*sha256 .*expected", "fetch starter/drums"),
    Break(
        "missing stem model",
        lambda tree: (tree / "models/starter/vocals.onnx").unlink(),
        r"starter/vocals: .*does not exist",
        "fetch starter/vocals",
    ),
    Break(
        "wrong challenge id",
        lambda tree: _edit_aicrowd(tree, lambda document: document.update(challenge_id="music-demixing")),
        r"aicrowd\.json: .*challenge_id.*evaluations-api-music-demixing",
        "submit configure",
    ),
    Break(
        "missing key",
        lambda tree: _edit_aicrowd(tree, lambda document: document.pop("authors")),
        r"aicrowd\.json: .*'authors' is a required property",
        "submit configure",
    ),
    Break(
        "oversized file outside LFS",
        lambda tree: (tree / "models/starter/older.bin").write_bytes(bytes(5_100_000)),
        r"models/starter/older\.bin has 5\.1 MB and is not in Git LFS",
        'git lfs track "models/starter/older.bin"',
    ),
    Break("missing requirement", _drop_requirement, r"does not name soundfile", r"add soundfile to requirements\.txt"),
    Break(
        "network call at import",
        lambda tree: _append(tree, "my_submission/challenge/limits.py", _NETWORK),
        r"my_submission/challenge/limits\.py:\d+ uses the network when imported",
        "load weights from the tree",
    ),
    Break(
        "system too slow",
        lambda tree: _in_prediction(tree, "time.sleep(600)"),
        r"too slow, it was stopped at the limit",
        "choose a faster system",
        ("--limit-seconds", "1"),
    ),
    Break(
        "system over memory",
        lambda tree: _in_prediction(tree, "hoard = bytes(bytearray(700_000_000))"),
        r"more memory than the grader's 512 MiB",
        "choose a system that needs less",
        ("--memory-gib", "0.5"),
    ),
    Break(
        "wrong source names",
        lambda tree: configure(tree, track="cdx23"),
        r"'starter' separates bass, drums, other, vocals, but the track cdx23 asks for dialog, effect, music",
        "choose another system or another track",
    ),
    Break(
        "unreadable config",
        lambda tree: (tree / "submission.toml").write_text("system = \n", encoding="utf-8"),
        r"submission\.toml: is not TOML",
        "correct that line",
    ),
)
"""The twelve faults that a check must find."""

STATIC_BREAKS = (
    Break(
        "run.sh with CRLF", lambda tree: _crlf(tree, "run.sh"), r"run\.sh has Windows line endings", r"sed -i .*eol=lf"
    ),
    Break("apt.txt with CRLF", lambda tree: _crlf(tree, "apt.txt"), r"apt\.txt has Windows line endings", "sed -i"),
    Break(
        "version that is not there",
        lambda tree: (tree / "requirements.txt").write_text("torch==99\n", encoding="utf-8"),
        r"requires torch==99: there is no such version",
        r"such as torch==2\.13\.0, 2\.12\.0",
    ),
    Break(
        "name that is not there",
        lambda tree: _append(tree, "requirements.txt", "no-such-distribution-at-all\n"),
        r"requires no-such-distribution-at-all: the package index has no",
        "correct the name",
    ),
    Break(
        "run.sh that may not be run",
        lambda tree: (tree / "run.sh").chmod(0o644),
        r"run\.sh is not marked as executable in the file system",
        r"git add --chmod=\+x run\.sh",
    ),
    Break(
        "no first line",
        lambda tree: _first_line(tree, "# nothing"),
        r"run\.sh does not begin with #!",
        "#!/usr/bin/env",
    ),
    Break(
        "interpreter absent",
        lambda tree: _first_line(tree, "#!/opt/bash"),
        r"names /opt/bash, which",
        "#!/usr",
    ),
    Break(
        "relative interpreter",
        lambda tree: _first_line(tree, "#!bash"),
        r"names bash, .* absolute",
        "#!/usr",
    ),
    Break("two words", lambda tree: _first_line(tree, "#!/usr/bin/env bash -e"), r"more than one word", "#!/usr"),
    Break("byte order mark", lambda tree: _first_line(tree, "\ufeff#!/bin/bash"), "byte order mark", "without BOM"),
    Break(
        "no shell script",
        lambda tree: _append(tree, "run.sh", "\nif true; then\n"),
        r"not a valid shell script: ",
        "correct",
    ),
    Break(
        "absolute link",
        lambda tree: _link(tree, "LICENSE", "/etc/passwd"),
        r"link to /etc/passwd, outside",
        "file itself",
    ),
    Break("link upwards", lambda tree: _link(tree, "x.py", "../x.py"), r"link to \.\./x\.py, outside", "file itself"),
    Break(
        "folder outside", lambda tree: _link(tree, "more", "/etc"), r"more is a link to /etc, outside", "file itself"
    ),
    Break(
        "nothing there",
        lambda tree: _link(tree, "x.py", "gone.py"),
        r"gone\.py does not exist",
        r"restore gone\.py",
    ),
    Break(
        "circle",
        _link_in_a_circle,
        "which is circular",
        "file itself",
    ),
    Break(
        "link to what stays behind",
        _link_to_ignored,
        r"\.gitignore excludes ignored\.py",
        "file itself",
    ),
)
"""Faults that ``--no-run`` finds."""
