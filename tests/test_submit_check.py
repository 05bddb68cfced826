"""``submit check``: a good tree passes, each broken one is told what is wrong and what to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from my_submission.cli import main
from my_submission.submission import check_submission, has_fault
from my_submission.submission.code_closure import code_closure
from my_submission.submission.environment import current_environment
from my_submission.submission.requirement_names import requirement_lines
from tests.submission_trees import BREAKS, LFS_POINTER, Break, configure, make_tree


@pytest.fixture
def tree(tmp_path: Path, tiny_models: Path) -> Path:
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
    assert re.search(r"made up, 1 s: \d", out)
    assert not list(tree.rglob("__pycache__"))


@pytest.mark.slow
@pytest.mark.parametrize("broken", BREAKS, ids=[broken.name for broken in BREAKS])
def test_each_broken_tree_is_told_its_fault_and_cure(
    broken: Break, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken.apply(tree)
    code = check(tree, *broken.options)
    out, err = capsys.readouterr()
    assert (code, err) == (1, ""), out
    lines = out.splitlines()
    told = [index for index, line in enumerate(lines) if line.startswith("fault ") and re.search(broken.says, line)]
    assert told, out
    assert re.search(broken.cure, lines[told[0] + 1]), out
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
    assert all("gitignore keeps it out of the push" in text for text in faults)


def test_a_configuration_newer_than_aicrowd_json_is_found(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tree / "submission.toml"
    path.write_text(path.read_text("utf-8").replace("a test", "another test"), encoding="utf-8")
    faults = [finding.text for finding in check_submission(tree, None) if finding.severity == "fault"]
    assert faults == ["description differ from submission.toml"]
    assert main(["submit", "configure", str(tree)]) == 0
    assert not has_fault(check_submission(tree, None))


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


def test_a_pointer_that_no_system_needs_is_found_too(tree: Path) -> None:
    (tree / "models/starter/other_model.onnx").write_text(LFS_POINTER, encoding="utf-8")
    faults = [finding.text for finding in check_submission(tree, None) if finding.severity == "fault"]
    assert faults == ["models/starter/other_model.onnx is a Git LFS pointer, not the file itself"]


def test_a_tree_without_git_is_checked_too(tmp_path: Path, tiny_models: Path) -> None:
    import shutil

    tree = make_tree(tmp_path / "tree", tiny_models)
    shutil.rmtree(tree / ".git")
    (tree / "models/starter/more.bin").write_bytes(bytes(5_100_000))
    findings = list(check_submission(tree, None))
    assert any("no git repository" in finding.text for finding in findings)
    assert any("outside Git LFS" in finding.text for finding in findings)


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
    assert "not proven" in current_environment().description
