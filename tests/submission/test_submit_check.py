"""``submit check``: a good tree passes, each broken one is told what is wrong and what to do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from my_submission.cli import main
from my_submission.submission import check_submission, has_fault
from my_submission.submission.code_closure import code_closure
from my_submission.submission.environment import current_environment
from my_submission.submission.requirement_names import requirement_lines
from my_submission.submission.requirement_versions import IndexAnswer, ask_pip, version_findings
from my_submission.submission.tree import SubmissionTree
from tests.submission_trees import BREAKS, LFS_POINTER, STATIC_BREAKS, Break, ask, configure, make_tree


@pytest.fixture
def tree(tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("my_submission.submission.requirement_versions.ask_pip", ask)
    return make_tree(tmp_path / "tree", tiny_models)


def check(tree: Path, *options: str) -> int:
    quick = ("--environment", "current", "--song-seconds", "1")
    return main(["submit", "check", str(tree), *quick, *options])


@pytest.mark.slow
def test_a_good_tree_passes(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = check(tree)
    out, err = capsys.readouterr()
    assert (code, err) == (0, ""), out
    assert "ready to push" in out
    assert "fault " not in out
    assert re.search(r"synthetic, 1 s: \d", out)
    assert not list(tree.rglob("__pycache__"))


@pytest.mark.slow
@pytest.mark.parametrize("broken", BREAKS, ids=[broken.name for broken in BREAKS])
def test_each_broken_tree_reports_its_fault_and_hint(
    broken: Break, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken.apply(tree)
    code = check(tree, *broken.options)
    out, err = capsys.readouterr()
    assert (code, err) == (1, ""), out
    lines = out.splitlines()
    told = [index for index, line in enumerate(lines) if line.startswith("fault ") and re.search(broken.says, line)]
    assert told, out
    assert re.search(broken.hint, lines[told[0] + 1]), out
    assert "Traceback" not in out


@pytest.mark.slow
def test_work_left_out_for_want_of_time_is_a_fault(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A planner that saves the song by leaving most of it out must not look like a system that fits."""
    code = check(tree, "--song-seconds", "60", "--limit-seconds", "0.2")
    out, _ = capsys.readouterr()
    assert code == 1
    assert "too slow" in out


@pytest.mark.parametrize("track", ["mdx21", "mdx23"])
def test_static_checks_run_nothing(track: str, tree: Path) -> None:
    configure(tree, track=track)
    findings = list(check_submission(tree, None))
    assert not has_fault(findings), findings
    assert findings[-1].check == "rehearsal"


@pytest.mark.parametrize(
    ("name", "track"),
    [("predict.py", "mdx21"), ("run.sh", "mdx21"), ("my_submission/user_config.py", "mdx23"), ("apt.txt", "mdx23")],
)
def test_files_the_grader_calls_must_be_there(name: str, track: str, tree: Path) -> None:
    configure(tree, track=track)
    (tree / name).unlink()
    faults = [finding for finding in check_submission(tree, None) if finding.severity == "fault"]
    assert any(name in finding.text and "missing" in finding.text for finding in faults)


def test_weights_that_gitignore_keeps_back_are_found(tree: Path) -> None:
    (tree / ".gitignore").write_text("models/starter/*.onnx\n", encoding="utf-8")
    faults = [finding.text for finding in check_submission(tree, None) if finding.severity == "fault"]
    assert len(faults) == 4
    assert all("gitignore excludes it from the push" in text for text in faults)


def test_a_configuration_newer_than_aicrowd_json_is_found(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tree / "submission.toml"
    path.write_text(path.read_text("utf-8").replace("a test", "another test"), encoding="utf-8")
    faults = [finding.text for finding in check_submission(tree, None) if finding.severity == "fault"]
    assert faults == ["description differ from submission.toml"]
    assert main(["submit", "configure", str(tree)]) == 0
    assert not has_fault(check_submission(tree, None))


@pytest.mark.slow
def test_a_large_file_inside_lfs_passes_and_one_committed_as_it_is_does_not(tree: Path) -> None:
    """git-lfs itself is not needed to tell them apart: git's own attributes and objects are read."""
    large = tree / "models/starter/more.bin"
    large.write_bytes(bytes(5_100_000))
    with (tree / ".gitattributes").open("a", encoding="utf-8") as file:
        file.write("*.bin filter=lfs diff=lfs merge=lfs -text\n")

    def faults() -> list[str]:
        return [f.text for f in check_submission(tree, None) if f.severity == "fault" and "not installed" not in f.text]

    assert faults() == []
    plain = ["-c", "filter.lfs.clean=cat", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false"]
    who = ["-c", "user.name=someone", "-c", "user.email=someone@localhost"]
    subprocess.run(["git", "-C", str(tree), *plain, "add", "--", "models", ".gitattributes"], check=True)
    subprocess.run(["git", "-C", str(tree), *plain, *who, "commit", "--quiet", "-m", "weights"], check=True)
    assert len(faults()) == 1
    assert "committed as a plain file of 5.1 MB" in faults()[0]


def test_large_weights_that_the_system_does_not_need_are_a_warning_that_names_pack(tree: Path) -> None:
    large = tree / "models/starter-plus/large.onnx"
    large.parent.mkdir()
    large.write_bytes(bytes(5_100_000))
    manifest = tree / "models/manifest.json"
    document = json.loads(manifest.read_text("utf-8"))
    artefact = {**document["artefacts"][0], "name": "starter-plus/large", "path": "starter-plus/large.onnx"}
    document["artefacts"].append({**artefact, "sha256": None, "bytes": None})
    manifest.write_text(json.dumps(document), encoding="utf-8")
    findings = list(check_submission(tree, None))
    assert not has_fault(findings), findings
    (told,) = (finding for finding in findings if "5.1 MB" in finding.text)
    assert told.severity == "warning"
    assert "starter does not need it" in told.text
    assert "submit pack DIR, which leaves it out" in told.hint


@pytest.mark.parametrize("used", [True, False])
def test_weights_from_external_data_must_be_declared(tree: Path, used: bool) -> None:
    path = tree / "submission.toml"
    text = path.read_text("utf-8").replace("external_dataset_used = true", f"external_dataset_used = {used}".lower())
    path.write_text(text, encoding="utf-8")
    assert main(["submit", "configure", str(tree)]) == 0
    faults = [finding for finding in check_submission(tree, None) if finding.severity == "fault"]
    assert [fault.text for fault in faults] == (
        [] if used else ["the weights of starter were trained on external data"]
    )
    assert all("external_dataset_used = true" in fault.hint for fault in faults)


def test_a_pointer_that_no_system_needs_is_found_too(tree: Path) -> None:
    (tree / "models/starter/other_model.onnx").write_text(LFS_POINTER, encoding="utf-8")
    faults = [finding.text for finding in check_submission(tree, None) if finding.severity == "fault"]
    assert faults == ["models/starter/other_model.onnx is a Git LFS pointer, not the file itself"]


def test_a_tree_without_git_is_checked_too(tree: Path) -> None:
    shutil.rmtree(tree / ".git")
    (tree / "models/starter/more.bin").write_bytes(bytes(5_100_000))
    findings = list(check_submission(tree, None))
    assert any("not a git repository" in finding.text for finding in findings)
    assert any("not in Git LFS" in finding.text for finding in findings)


def test_an_import_that_fails_is_told_with_its_module(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tree / "my_submission/challenge/limits.py"
    path.write_text(
        path.read_text("utf-8") + "\ntry:\n    import absent_library\nexcept ImportError:\n    raise\n", "utf-8"
    )
    assert check(tree) == 1
    assert "No module named 'absent_library'" in capsys.readouterr().out


def test_the_closure_follows_imports_and_tells_certain_from_lazy(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/__init__.py").write_text("", "utf-8")
    (tmp_path / "own/used.py").write_text("import certain_a\ndef f():\n    import lazy_b\n", "utf-8")
    (tmp_path / "own/unused.py").write_text("import never\n", "utf-8")
    (tmp_path / "door.py").write_text(
        "from typing import TYPE_CHECKING\nfrom own import used\n"
        "if TYPE_CHECKING:\n    import types_only\n"
        "try:\n    import guarded_c\nexcept ImportError:\n    pass\n",
        "utf-8",
    )
    closure = code_closure(tmp_path, ["door.py"])
    assert closure.files == {"door.py", "own/__init__.py", "own/used.py"}
    found = {(entry.library, entry.is_certain) for entry in closure.imports}
    assert found == {("certain_a", True), ("lazy_b", False), ("guarded_c", False)}


def test_requirement_names_are_canonical(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("# why\n--extra-index-url x\nOnnx_Runtime.GPU>=1 # note\nnumpy>=2,<3\n", "utf-8")
    assert requirement_lines(path) == {"onnx-runtime-gpu": "Onnx_Runtime.GPU>=1", "numpy": "numpy>=2,<3"}


def test_the_current_interpreter_is_said_to_prove_nothing() -> None:
    assert "not tested" in current_environment().description


@pytest.mark.parametrize("broken", STATIC_BREAKS, ids=[broken.name for broken in STATIC_BREAKS])
def test_faults_that_are_found_without_a_run(broken: Break, tree: Path) -> None:
    broken.apply(tree)
    faults = [finding for finding in check_submission(tree, None) if finding.severity == "fault"]
    told = [finding for finding in faults if re.search(broken.says, finding.text)]
    assert told, faults
    assert re.search(broken.hint, told[0].hint), told


def test_without_git_the_file_system_is_looked_at(tree: Path) -> None:
    shutil.rmtree(tree / ".git")
    (tree / "run.sh").chmod(0o644)
    (tree / "LICENSE").unlink()
    (tree / "LICENSE").symlink_to("/etc/passwd")
    (tree / "more").symlink_to("/etc")
    findings = [f.text for f in check_submission(tree, None) if f.severity == "fault"]
    assert [text.partition(";")[0].partition(",")[0] for text in findings] == [
        "LICENSE is a link to /etc/passwd",
        "more is a link to /etc",
        "run.sh is not marked as executable in the file system",
    ]


def commit(tree: Path, *names: str, options: Sequence[str] = ()) -> None:
    subprocess.run(["git", "-C", str(tree), *options, "add", "--", *names], check=True)


def faults_of(tree: Path, check: str) -> list[str]:
    return [f.text for f in check_submission(tree, None) if f.severity == "fault" and f.check == check]


def test_what_git_keeps_counts_where_it_differs_from_the_file_system(tree: Path) -> None:
    (tree / "run.sh").chmod(0o644)
    commit(tree, "run.sh")
    (tree / "run.sh").chmod(0o755)
    assert faults_of(tree, "scripts") == ["run.sh is not marked as executable in git, but the grader runs it"]
    subprocess.run(["git", "-C", str(tree), "add", "--chmod=+x", "run.sh"], check=True)
    assert faults_of(tree, "scripts") == []
    (tree / ".gitattributes").unlink()
    unix = (tree / "apt.txt").read_bytes()
    (tree / "apt.txt").write_bytes(unix.replace(b"\n", b"\r\n"))
    commit(tree, "apt.txt", options=("-c", "core.autocrlf=false"))
    (tree / "apt.txt").write_bytes(unix)
    assert faults_of(tree, "scripts") == ["apt.txt has Windows line endings in git, though not in the working tree"]


def test_a_link_that_git_keeps_and_the_file_system_cannot(tree: Path) -> None:
    """As on Windows: core.symlinks is off, and a text file with the target stands for the link."""
    subprocess.run(["git", "-C", str(tree), "config", "core.symlinks", "false"], check=True)
    (tree / "notes.md").write_text("/etc/passwd", encoding="utf-8")
    digest = subprocess.run(
        ["git", "-C", str(tree), "hash-object", "-w", "notes.md"], check=True, capture_output=True, text=True
    ).stdout.strip()
    cacheinfo = f"120000,{digest},notes.md"
    subprocess.run(["git", "-C", str(tree), "update-index", "--add", "--cacheinfo", cacheinfo], check=True)
    assert "notes.md" not in SubmissionTree(tree).files
    assert SubmissionTree(tree).entries.links == {"notes.md": "/etc/passwd"}


def test_links_inside_the_tree_are_told_and_no_fault(tree: Path) -> None:
    (tree / "docs").mkdir()
    (tree / "docs/LICENSE").symlink_to("../LICENSE")
    (tree / "weights").symlink_to("models")
    (tree / "hard.md").hardlink_to(tree / "README.md")
    findings = list(check_submission(tree, None))
    assert not has_fault(findings), findings
    assert [f.text for f in findings if f.check == "links"] == [
        "docs/LICENSE is a link to ../LICENSE; a push contains it as a link",
        "weights is a link to models; a push contains it as a link",
    ]


def test_needed_files_behind_a_link_are_judged_by_the_link(tree: Path) -> None:
    (tree / "models").rename(tree / "kept")
    (tree / "models").symlink_to("kept")
    assert not has_fault(check_submission(tree, None))
    (tree / "kept").rename(tree.parent / "elsewhere")
    (tree / "models").unlink()
    (tree / "models").symlink_to(tree.parent / "elsewhere")
    faults = [f.check for f in check_submission(tree, None) if f.severity == "fault"]
    assert faults == ["links", "system"]


def test_named_pipes_and_sockets_are_told_and_never_read(tree: Path) -> None:
    (tree / "apt.txt").unlink()
    os.mkfifo(tree / "apt.txt")
    os.mkfifo(tree / "models/starter/waiting")
    findings = list(check_submission(tree, None))
    told = [f.text for f in findings if f.check == "links"]
    assert told == [f"{name} is a named pipe; git cannot store it" for name in ("apt.txt", "models/starter/waiting")]
    assert any(f.severity == "fault" and "apt.txt" in f.text for f in findings)


def test_versions_are_looked_up_only_where_they_are_not_installed(tree: Path) -> None:
    asked: list[tuple[str, list[str]]] = []

    def answer(name: str, options: Sequence[str]) -> IndexAnswer:
        asked.append((name, list(options)))
        return IndexAnswer(failure="the package index cannot be reached")

    lines = ["--extra-index-url https://example.org/simple", "numpy>=2.0", 'no-such-thing; python_version < "3"']
    lines += ["torch==99", "away @ https://example.org/away.whl", "soundfile>99,<98"]
    (tree / "requirements.txt").write_text("\n".join(lines), encoding="utf-8")
    findings = list(version_findings(SubmissionTree(tree), answer))
    options = ["--extra-index-url", "https://example.org/simple"]
    assert asked == [("torch", options), ("soundfile", options)]
    assert [f.severity for f in findings] == ["fact", "fact"]
    assert findings[0].text.endswith("not checked: torch==99, soundfile>99,<98: the package index cannot be reached")
    assert "away @ " in findings[1].text


def test_pip_is_asked_for_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of wheels stands for the index; an address that refuses connections for one that is away."""
    for version in ("1.0", "2.0rc1"):
        (tmp_path / f"made_up_thing-{version}-py3-none-any.whl").write_bytes(b"")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert ask_pip("made-up-thing", []).versions == ("2.0rc1", "1.0")
    assert ask_pip("another-thing", []) == IndexAnswer()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert ask_pip("made-up-thing", []) == IndexAnswer(failure="the package index cannot be reached")
