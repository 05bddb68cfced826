"""Submission trees for tests: this package, a tiny system, and ways to break them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
    cure: str
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
    marker = '        """Separate one song and put every stem where the challenge wants it."""\n'
    assert text.count(marker) == 1
    path.write_text(text.replace(marker, f"{marker}        {code}\n"), encoding="utf-8")


_NETWORK = "\nimport urllib.request\n\nurllib.request.urlopen('http://example.org/weights')\n"

BREAKS = (
    Break("LFS pointer", _point, r"bass\.onnx is a Git LFS pointer", "fetch starter/bass|git lfs pull"),
    Break("wrong hash", _flip, r"starter/drums: .*sha256 .*expected", "fetch starter/drums"),
    Break(
        "missing stem model",
        lambda tree: (tree / "models/starter/vocals.onnx").unlink(),
        r"starter/vocals: .*is not there",
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
        r"models/starter/older\.bin has 5\.1 MB and is outside Git LFS",
        'git lfs track "models/starter/older.bin"',
    ),
    Break("missing requirement", _drop_requirement, r"does not name soundfile", r"add soundfile to requirements\.txt"),
    Break(
        "network call at import",
        lambda tree: _append(tree, "my_submission/challenge/limits.py", _NETWORK),
        r"my_submission/challenge/limits\.py:\d+ reaches for the network when imported",
        "move it out of the import",
    ),
    Break(
        "system too slow",
        lambda tree: _in_prediction(tree, "time.sleep(600)"),
        r"too slow, it was stopped at the limit",
        "choose a cheaper system",
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
        "mend that line",
    ),
)
"""The twelve faults that a check must find."""
