"""Verification tells missing, damaged, unverified and good files apart, and reads every byte anew."""

from __future__ import annotations

import hashlib
import os
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from my_submission.errors import UnknownNameError, WeightsError
from my_submission.weights import Artefact, ModelsFolder, content_checks, verify
from tests.weights_fixtures import CONTENT, POINTER, entry, folder_with, write_manifest


def torch_entry(content: bytes, **change: Any) -> dict[str, Any]:
    own: dict[str, Any] = {
        "name": "mine/mixer",
        "path": "mixer.ckpt",
        "format": "torch",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    return entry(**own | change)


def saved(path: Path, content: Any, **options: Any) -> bytes:
    torch.save(content, path, **options)
    return path.read_bytes()


def only(models: ModelsFolder, **options: Any) -> tuple[str, str]:
    (result,) = verify(models, **options)
    return result.status, result.detail


def test_a_good_graph_is_ok_with_and_without_a_check(tmp_path: Path) -> None:
    models = folder_with(tmp_path, CONTENT, entry())
    assert only(models) == ("ok", "sha256 as expected; graph not opened")
    checked: list[tuple[Artefact, Path]] = []
    status = only(models, graph_check=lambda artefact, path: checked.append((artefact, path)))
    assert status == ("ok", "sha256 as expected; graph opens")
    assert checked == [(models.artefact("mine/bass"), models.path("mine/bass"))]


def test_a_graph_that_does_not_open_is_damaged(tmp_path: Path) -> None:
    def refuse(_: Artefact, path: Path) -> None:
        raise WeightsError("has no input called input", where=path)

    status, detail = only(folder_with(tmp_path, CONTENT, entry()), graph_check=refuse)
    assert status == "damaged"
    assert "has no input called input" in detail


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (None, "missing", "does not exist"),
        (POINTER, "damaged", "Git LFS pointer"),
        (CONTENT[:3], "damaged", "has 3 of 12 bytes"),
        (bytes(12), "damaged", "is not the file of the manifest"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, content: bytes | None, status: str, detail: str) -> None:
    models = folder_with(tmp_path, content, entry())
    found = only(models, graph_check=lambda *_: pytest.fail("a damaged file was opened"))
    assert found[0] == status
    assert detail in found[1]
    assert str(models.path("mine/bass")) in found[1]


def test_a_relabelled_file_is_damaged(tmp_path: Path) -> None:
    status, detail = only(folder_with(tmp_path, CONTENT, entry(name="kuielab-b/bass")))
    assert status == "damaged"
    assert "published for kuielab-b/bass" in detail


def test_a_file_without_known_hash_is_unverified_and_its_hash_is_shown(tmp_path: Path) -> None:
    status, detail = only(folder_with(tmp_path, CONTENT, entry(sha256=None)))
    assert status == "unverified"
    assert hashlib.sha256(CONTENT).hexdigest() in detail


def test_published_digits_are_enough_and_said_to_be_all(tmp_path: Path) -> None:
    prefix = hashlib.sha256(CONTENT).hexdigest()[:8]
    status, detail = only(folder_with(tmp_path, CONTENT, entry(sha256=None, sha256_prefix=prefix)))
    assert status == "ok"
    assert "published digits" in detail


def test_a_checkpoint_is_opened(tmp_path: Path) -> None:
    made = saved(tmp_path / "made", {"linear.weight": torch.eye(8, 10), "bias": torch.zeros(8)})
    assert only(folder_with(tmp_path, made, torch_entry(made))) == ("ok", "sha256 as expected; 2 tensors")


def test_a_checkpoint_with_code_is_damaged_whatever_its_hash(tmp_path: Path) -> None:
    made = saved(tmp_path / "made", {"linear.weight": torch.eye(8, 10), "name": Fraction(1, 3)})
    status, detail = only(folder_with(tmp_path, made, torch_entry(made)))
    assert status == "damaged"
    assert "contains code (fractions." in detail


def test_a_bare_pickle_is_damaged_whatever_its_hash(tmp_path: Path) -> None:
    made = pickle.dumps({"linear.weight": 1})
    status, detail = only(folder_with(tmp_path, made, torch_entry(made)))
    assert status == "damaged"
    assert "not a checkpoint that torch.save wrote" in detail


def test_a_checkpoint_of_old_torch_is_opened(tmp_path: Path) -> None:
    made = saved(tmp_path / "made", {"w": torch.zeros(2)}, _use_new_zipfile_serialization=False)
    status, detail = only(folder_with(tmp_path, made, torch_entry(made)))
    assert status == "ok"
    assert "1 tensors" in detail


def test_a_file_that_cannot_be_read_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(content_checks, "is_lfs_pointer", fail)
    status, detail = only(folder_with(tmp_path, CONTENT, entry()))
    assert (status, "cannot be read (Permission denied)" in detail) == ("damaged", True)


def test_the_named_ones_are_checked_in_their_order(tmp_path: Path) -> None:
    models = ModelsFolder(write_manifest(tmp_path, *(entry(name=name, path=f"{name}.onnx") for name in "abc")))
    assert [result.name for result in verify(models)] == ["a", "b", "c"]
    assert [result.name for result in verify(models, ["c", "a"])] == ["c", "a"]
    with pytest.raises(UnknownNameError):
        verify(models, ["a", "d"])


def test_nothing_is_remembered_between_checks(tmp_path: Path) -> None:
    models = folder_with(tmp_path, CONTENT, entry())
    models.require("mine/bass")
    state = models.path("mine/bass").stat()
    models.path("mine/bass").write_bytes(bytes(len(CONTENT)))
    os.utime(models.path("mine/bass"), ns=(state.st_atime_ns, state.st_mtime_ns))
    assert only(models)[0] == "damaged"
