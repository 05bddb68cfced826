"""``submit pack``: the exact tree to push, as a repository that passes its own check."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from my_submission.challenge.building import build_predictor
from my_submission.cli import main
from my_submission.errors import InputError, OutputError, WeightsError
from my_submission.submission import SubmissionTree, git, pack_submission
from my_submission.submission.code_closure import code_closure
from tests.submission_trees import ask, configure, make_tree


@pytest.fixture
def tree(tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("my_submission.submission.requirement_versions.ask_pip", ask)
    return make_tree(tmp_path / "tree", tiny_models)


def git_output(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_the_packed_tree_passes_and_runs(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "packed"
    quick = ["--environment", "current", "--song-seconds", "1", "--tag", "submission-first"]
    code = main(["submit", "pack", str(packed), "--tree", str(tree), *quick])
    out, err = capsys.readouterr()
    assert (code, err) == (0, ""), out
    assert "git tag -am submission-first submission-first" in out
    assert "git push aicrowd master submission-first" in out
    assert "ready to push" in out
    assert git_output(packed, "status", "--porcelain") == ""
    assert git_output(packed, "log", "--format=%s") == "Submission: starter for mdx21\n"


@pytest.mark.parametrize("track", ["mdx21", "mdx23"])
def test_only_what_the_system_and_track_need_goes_along(track: str, tree: Path, tmp_path: Path) -> None:
    (tree / "models/starter/unused.bin").write_bytes(b"x")
    manifest = json.loads((tree / "models/manifest.json").read_text("utf-8"))
    manifest["artefacts"].append({**manifest["artefacts"][0], "name": "other/bass", "path": "other/bass.onnx"})
    (tree / "models/manifest.json").write_text(json.dumps(manifest), "utf-8")
    configure(tree, track=track)
    result = pack_submission(SubmissionTree(tree), tmp_path / "packed")
    names = set(result.files)
    entry_points = (
        {"predict.py", "run.sh"} if track == "mdx21" else {"my_submission/user_config.py", "evaluate_locally.py"}
    )
    assert entry_points <= names
    assert {"aicrowd.json", "apt.txt", "requirements.txt", "submission.toml", "LICENSE"} <= names
    assert not [name for name in names if name.startswith(("tests/", "training/", "my_submission/cli/", "data/"))]
    assert not [name for name in names if name.startswith(("my_submission/submission/", "my_submission/doctor/"))]
    assert {name for name in names if name.startswith("models/")} == {
        "models/manifest.json",
        *(f"models/starter/{name}" for name in ("bass.onnx", "drums.onnx", "other.onnx", "vocals.onnx", "mixer.ckpt")),
    }
    kept = json.loads((tmp_path / "packed/models/manifest.json").read_text("utf-8"))["artefacts"]
    assert {entry["name"] for entry in kept} == {f"starter/{n}" for n in ("bass", "drums", "other", "vocals", "mixer")}


def test_requirements_are_those_the_packed_modules_import(tree: Path, tmp_path: Path) -> None:
    pack_submission(SubmissionTree(tree), tmp_path / "packed")
    packed = (tmp_path / "packed/requirements.txt").read_text("utf-8")
    libraries = code_closure(tmp_path / "packed", ["predict.py"]).libraries
    for library in ("soundfile", "soxr", "av", "scipy"):
        assert library in libraries
        assert f"{library}>" in packed
    assert packed.startswith("-c constraints.txt\n")
    kept = (tmp_path / "packed/constraints.txt").read_text("utf-8")
    assert kept == (tree / "constraints.txt").read_text("utf-8")
    for needless in ("museval", "musdb", "librosa", "jsonschema"):
        assert needless not in packed


def test_the_executable_bit_and_other_weights_folders_survive(tree: Path, tmp_path: Path) -> None:
    (tree / "models").rename(tree / "elsewhere")
    path = tree / "submission.toml"
    path.write_text(path.read_text("utf-8") + 'models_dir = "elsewhere"\n', "utf-8")
    pack_submission(SubmissionTree(tree), tmp_path / "packed")
    assert (tmp_path / "packed/models/starter/bass.onnx").is_file()
    assert SubmissionTree(tmp_path / "packed").configuration().models_dir == "models"
    assert (tmp_path / "packed/run.sh").stat().st_mode & 0o111


@pytest.mark.parametrize("has_lfs", [True, False])
def test_large_weights_get_attributes_and_are_never_committed_as_they_are(
    has_lfs: bool, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With git-lfs they are committed as pointers, without it they wait, and the result says what to do."""
    if has_lfs and not git.has_git_lfs():
        pytest.skip("git-lfs is not installed")
    monkeypatch.setattr(git, "has_git_lfs", lambda: has_lfs)
    monkeypatch.setattr("my_submission.submission.pack.LFS_THRESHOLD_BYTES", 10_000)
    result = pack_submission(SubmissionTree(tree), tmp_path / "packed")
    assert "models/starter/bass.onnx" in result.lfs_files
    attributes = (tmp_path / "packed/.gitattributes").read_text("utf-8")
    assert "models/starter/bass.onnx filter=lfs" in attributes
    committed = git.committed_sizes(tmp_path / "packed")
    if has_lfs:
        assert result.is_committed
        assert committed["models/starter/bass.onnx"] < 200
    else:
        assert not result.is_committed
        assert "models/starter/bass.onnx" not in committed
        assert "git-lfs is not installed" in result.notes[0]


def test_a_folder_that_holds_something_is_left_alone(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed/mine.txt").write_text("mine", "utf-8")
    with pytest.raises(OutputError, match="is not empty"):
        pack_submission(SubmissionTree(tree), tmp_path / "packed")
    assert [path.name for path in (tmp_path / "packed").iterdir()] == ["mine.txt"]


def test_weights_that_are_not_there_are_refused_before_anything_is_written(tree: Path, tmp_path: Path) -> None:
    (tree / "models/starter/bass.onnx").unlink()
    with pytest.raises(WeightsError, match="starter/bass"):
        pack_submission(SubmissionTree(tree), tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_git_failures_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="git status failed"):
        git.run_git(tmp_path, "status")


@pytest.mark.parametrize("name", ["LICENSE", "requirements.txt", "submission.toml", "my_submission/stems.py", "models"])
def test_a_link_out_of_the_tree_is_never_followed(name: str, tree: Path, tmp_path: Path) -> None:
    (tree / name).rename(tmp_path / "secret")
    (tree / name).symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=r"is outside|leads out of the tree.*Replace") as caught:
        pack_submission(SubmissionTree(tree), tmp_path / "packed")
    assert str(tmp_path / "secret") in str(caught.value)
    assert not (tmp_path / "packed").exists()


def test_one_weight_or_its_notes_behind_a_link_out_of_the_tree(tree: Path, tmp_path: Path) -> None:
    (tree / "models/starter/README.md").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"README\.md: leads out of the tree, to /etc/passwd"):
        pack_submission(SubmissionTree(tree), tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_a_link_inside_the_tree_is_packed_as_the_file_it_leads_to(tree: Path, tmp_path: Path) -> None:
    (tree / "LICENSE").rename(tree / "COPYING")
    (tree / "LICENSE").symlink_to("COPYING")
    pack_submission(SubmissionTree(tree), tmp_path / "packed")
    assert not (tmp_path / "packed/LICENSE").is_symlink()
    assert (tmp_path / "packed/LICENSE").read_bytes() == (tree / "COPYING").read_bytes()


@pytest.mark.parametrize(
    "place", ["tree", "tree/packed", "tree/models/more/packed", "link/packed", "other/../tree/new"]
)
def test_packing_into_the_tree_itself_is_refused(place: str, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    (tmp_path / "other").mkdir()
    before = sorted(tree.rglob("*"))
    with pytest.raises(OutputError, match=r"is inside the tree that is packed.*outside the tree"):
        pack_submission(SubmissionTree(tree), tmp_path / place)
    assert sorted(tree.rglob("*")) == before


@pytest.mark.parametrize("target", ["nowhere", "packed"])
def test_a_directory_that_is_a_link_to_nothing_or_to_itself(target: str, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "packed").symlink_to(tmp_path / target)
    with pytest.raises(OutputError, match=r"which does not exist|cannot be used|is a link"):
        pack_submission(SubmissionTree(tree), tmp_path / "packed")


def test_text_that_runs_has_linux_line_endings_whatever_git_is_set_to(tree: Path, tmp_path: Path) -> None:
    pack_submission(SubmissionTree(tree), tmp_path / "packed")
    for name in ("run.sh", "apt.txt", "predict.py", "requirements.txt"):
        attributes = git_output(tmp_path / "packed", "check-attr", "text", "eol", "--", name)
        assert attributes == f"{name}: text: set\n{name}: eol: lf\n"
    assert git.index_modes(tmp_path / "packed")["run.sh"] == "100755"


OWN_SYSTEM = """\
schema = 1

[[systems]]
name = "mine"

[[systems.branches]]
kind = "networks"
networks = { bass = "starter/bass", drums = "starter/drums", other = "starter/other", vocals = "starter/vocals" }

[[systems]]
name = "another"

[[systems.branches]]
kind = "networks"
networks = { bass = "another/bass" }
"""


def test_a_system_of_ones_own_is_packed_with_the_file_that_defines_it(tree: Path, tmp_path: Path) -> None:
    """The packed tree has its weights alone, and opens its systems.toml, which names artefacts that stayed behind."""
    manifest = json.loads((tree / "models/manifest.json").read_text("utf-8"))
    bass = next(each for each in manifest["artefacts"] if each["name"] == "starter/bass")
    manifest["artefacts"].append({**bass, "name": "another/bass", "path": "another/bass.onnx"})
    (tree / "models/manifest.json").write_text(json.dumps(manifest), "utf-8")
    (tree / "models/systems.toml").write_text(OWN_SYSTEM, "utf-8")
    configure(tree, track="mdx21", system="mine")
    assert main(["submit", "check", str(tree), "--no-run"]) == 0
    result = pack_submission(SubmissionTree(tree), tmp_path / "packed")
    packed = {
        name for name in result.files if name.startswith("models/") and name.endswith((".onnx", ".toml", ".ckpt"))
    }
    graphs = {f"models/starter/{source}.onnx" for source in ("bass", "drums", "other", "vocals")}
    assert packed == {"models/systems.toml", *graphs}
    predictor = build_predictor(SubmissionTree(tmp_path / "packed").configuration(), tree=tmp_path / "packed")
    assert set(predictor.stems) == {"bass", "drums", "other", "vocals"}


def test_a_system_of_ones_own_whose_definition_is_ignored_by_git_is_a_fault(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "models/systems.toml").write_text(OWN_SYSTEM.partition('[[systems]]\nname = "another')[0], "utf-8")
    (tree / ".gitignore").write_text("systems.toml\n", "utf-8")
    configure(tree, track="mdx21", system="mine")
    assert main(["submit", "check", str(tree), "--no-run"]) == 1
    assert "models/systems.toml exists but .gitignore excludes it" in " ".join(capsys.readouterr().out.split())
