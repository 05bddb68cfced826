"""A models folder hands out only files that are what their names promise, and says how to get the others."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from my_submission.errors import OutputError, UnknownNameError, WeightsError
from my_submission.files import hashing
from my_submission.files.hashing import git_blob_id_of
from my_submission.weights import (
    Artefact,
    ArtefactGeometry,
    ModelsFolder,
    default_folders,
    describe_artefact,
    fetch,
    folder,
    is_lfs_pointer,
    record_artefacts,
    refresh_manifest,
    sha256_of,
    verify,
)
from tests.weights_fixtures import CONTENT, POINTER, entry, folder_with, write_manifest


def test_a_good_file_is_handed_out(tmp_path: Path) -> None:
    models = folder_with(tmp_path, CONTENT, entry())
    assert models.require("mine/bass") == tmp_path / "mine/bass.onnx"
    assert models.is_present("mine/bass")


def test_the_leading_digits_are_compared_where_no_more_is_known(tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    models = folder_with(tmp_path / "a", CONTENT, entry(sha256=None, bytes=None, sha256_prefix=digest[:8]))
    assert models.require("mine/bass").read_bytes() == CONTENT
    models = folder_with(tmp_path / "b", CONTENT, entry(sha256=None, bytes=None, sha256_prefix="00000000"))
    with pytest.raises(WeightsError, match=f"sha256 {digest[:8]}, expected 00000000"):
        models.require("mine/bass")


def test_the_id_of_git_is_compared_where_no_sha256_is_known(tmp_path: Path) -> None:
    """Against git's own definition, and an id that git printed: that of an empty file."""
    blob = hashlib.sha1(f"blob {len(CONTENT)}\0".encode() + CONTENT).hexdigest()
    models = folder_with(tmp_path / "a", CONTENT, entry(sha256=None, bytes=None, git_blob=blob))
    assert models.require("mine/bass").read_bytes() == CONTENT
    (result,) = verify(models)
    assert result.status == "ok"
    assert "git blob as expected" in result.detail
    models = folder_with(tmp_path / "b", CONTENT, entry(sha256=None, bytes=None, git_blob="0" * 40))
    with pytest.raises(WeightsError, match=f"git blob {blob}, expected 0000"):
        models.require("mine/bass")
    (tmp_path / "empty").touch()
    assert git_blob_id_of(tmp_path / "empty") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_a_missing_file_names_the_command_that_brings_it(tmp_path: Path) -> None:
    models = folder_with(tmp_path / "my models", None, entry())
    assert not models.is_present("mine/bass")
    with pytest.raises(WeightsError) as caught:
        models.require("mine/bass")
    assert "python -m my_submission fetch mine/bass --models-dir '" in str(caught.value)
    assert "--from FILE_OR_ZIP_OR_FOLDER" in str(caught.value)
    assert caught.value.where == str(tmp_path / "my models/mine/bass.onnx")


def test_the_default_folder_needs_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "DEFAULT_MODELS_DIR", tmp_path.resolve())
    monkeypatch.chdir(tmp_path)
    write_manifest(tmp_path, entry())
    assert "--models-dir" not in ModelsFolder(".").hint("mine/bass")


def test_weights_of_an_installed_package_are_fetched_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, data = tmp_path / "site-packages/models", tmp_path / "data"
    monkeypatch.setattr(folder, "DEFAULT_MODELS_DIR", package)
    monkeypatch.setattr(default_folders, "_IN_PACKAGE", package)
    monkeypatch.setattr(default_folders, "data_folder", lambda: data)
    monkeypatch.delenv(default_folders.WEIGHTS_VARIABLE, raising=False)
    shipped, other = entry(name="mine/bass"), entry(name="mine/drums", path="mine/drums.onnx")
    write_manifest(package, shipped, other)
    source = tmp_path / "bass.onnx"
    source.write_bytes(CONTENT)

    assert ModelsFolder().path("mine/bass") == data / "weights/mine/bass.onnx"
    (result,) = fetch(ModelsFolder(), ["mine/bass"], from_path=source)
    assert result.path == data / "weights/mine/bass.onnx"
    assert ModelsFolder().require("mine/bass") == result.path
    assert [each.status for each in verify(ModelsFolder())] == ["ok", "missing"]
    assert sorted(path.name for path in package.rglob("*")) == ["manifest.json"], "nothing is written to the package"
    assert "--models-dir" not in ModelsFolder().hint("mine/drums")

    (package / "mine").mkdir()
    (package / "mine/bass.onnx").write_bytes(CONTENT)
    assert ModelsFolder().require("mine/bass") == package / "mine/bass.onnx", "the shipped file comes first"
    assert "pip install --force-reinstall" in ModelsFolder().hint("mine/bass")

    monkeypatch.setenv(default_folders.WEIGHTS_VARIABLE, str(tmp_path / "named"))
    assert ModelsFolder().path("mine/drums") == tmp_path / "named/mine/drums.onnx"
    assert ModelsFolder(tmp_path / "site-packages/models").path("mine/drums") == ModelsFolder().path("mine/drums")


def test_another_models_folder_holds_its_fetched_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(default_folders.WEIGHTS_VARIABLE, str(tmp_path / "named"))
    models = ModelsFolder(write_manifest(tmp_path / "models", entry()))
    assert models.path("mine/bass") == models.target("mine/bass") == tmp_path / "models/mine/bass.onnx"


def test_a_file_without_address_asks_for_a_copy(tmp_path: Path) -> None:
    models = folder_with(tmp_path, None, entry(sources=[]))
    with pytest.raises(WeightsError, match=r"--from FILE_OR_ZIP_OR_FOLDER with a copy"):
        models.require("mine/bass")


def test_a_git_lfs_pointer_is_not_the_file(tmp_path: Path) -> None:
    models = folder_with(tmp_path, POINTER, entry())
    assert is_lfs_pointer(models.path("mine/bass"))
    assert not models.is_present("mine/bass")
    for allow in (False, True):
        with pytest.raises(WeightsError, match=r"Git LFS pointer.*git lfs pull.*fetch mine/bass"):
            models.require("mine/bass", allow_unverified=allow)


def test_a_large_file_that_begins_like_a_pointer_is_none(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(POINTER + bytes(2000))
    assert not is_lfs_pointer(tmp_path / "weights")


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (CONTENT[:5], "has 5 of 12 bytes"),
        (b"", "has 0 of 12 bytes"),
        (CONTENT + b"!", "has 13 bytes where 12 are expected"),
        (b"other bytes!", "is not the file of the manifest: sha256 .*, expected"),
    ],
)
def test_a_damaged_file_is_refused_unless_allowed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: bytes, complaint: str
) -> None:
    models = folder_with(tmp_path, wrong, entry())
    with pytest.raises(WeightsError, match=complaint) as caught:
        models.require("mine/bass")
    assert "fetch mine/bass" in str(caught.value)
    assert "--allow-unverified" in str(caught.value)
    with caplog.at_level(logging.WARNING):
        assert models.require("mine/bass", allow_unverified=True).read_bytes() == wrong
    assert "unverified weights are allowed" in caplog.text


def test_a_file_without_known_hash_is_refused_unless_allowed(tmp_path: Path) -> None:
    models = folder_with(tmp_path, CONTENT, entry(sha256=None))
    with pytest.raises(WeightsError, match="no known hash"):
        models.require("mine/bass")
    assert models.require("mine/bass", allow_unverified=True).is_file()


def test_a_foreign_manifest_cannot_relabel_published_weights(tmp_path: Path) -> None:
    models = folder_with(tmp_path, CONTENT, entry(name="kuielab-a/bass"))  # its own hash is right
    with pytest.raises(WeightsError, match=r"not the file published for kuielab-a/bass: .* expected 0c3e77b9"):
        models.require("kuielab-a/bass")
    assert models.require("kuielab-a/bass", allow_unverified=True).is_file()


def test_an_unknown_name_lists_its_neighbours(tmp_path: Path) -> None:
    models = ModelsFolder(write_manifest(tmp_path, entry(), entry(name="mine/drums"), entry(name="yours/other")))
    with pytest.raises(UnknownNameError, match="nearest names are mine/bass"):
        models.artefact("mine/base")
    with pytest.raises(UnknownNameError, match=r"nearest names are mine/bass, mine/drums\."):
        models.artefact("mine")
    with pytest.raises(UnknownNameError, match="yours/other"):
        models.require("zzzzzzzz")


def test_an_unchanged_file_is_hashed_once_and_a_changed_one_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = folder_with(tmp_path, CONTENT, entry())
    hashed: list[Path] = []

    def counted(path: Path) -> str:
        hashed.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(hashing, "sha256_of", counted)
    hashing._sha256_of_state.cache_clear()
    path = models.require("mine/bass")
    models.require("mine/bass")
    assert hashed == [path]
    path.write_bytes(b"other bytes!")
    os.utime(path, ns=(1, 1))  # a clock may be too coarse to tell the two writes apart
    with pytest.raises(WeightsError, match="is not the file"):
        models.require("mine/bass")


def test_a_file_that_cannot_be_read_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        sha256_of(tmp_path)


def test_describing_a_file_gives_its_hash_and_size(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(CONTENT)
    expected = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "bytes": 12}
    assert describe_artefact(tmp_path / "weights") == expected


@pytest.mark.parametrize(("wrong", "complaint"), [(None, "not a file"), (b"", "empty"), (POINTER, "Git LFS pointer")])
def test_what_is_no_weights_is_not_described(tmp_path: Path, wrong: bytes | None, complaint: str) -> None:
    if wrong is not None:
        (tmp_path / "weights").write_bytes(wrong)
    with pytest.raises(WeightsError, match=complaint):
        describe_artefact(tmp_path / "weights")


def test_refreshing_states_new_content_and_leaves_the_rest(tmp_path: Path) -> None:
    models = folder_with(tmp_path, b"new", entry(), entry(name="mine/drums", path="drums.onnx"))
    fresh = refresh_manifest(tmp_path, ["mine/bass"])
    assert fresh.require("mine/bass").read_bytes() == b"new"
    assert fresh.artefact("mine/bass").n_bytes == 3
    assert fresh.artefact("mine/drums") == models.artefact("mine/drums")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "mine"]


def test_new_artefacts_are_entered_and_old_ones_replaced_in_place(tmp_path: Path) -> None:
    models = folder_with(tmp_path, CONTENT, entry(), entry(name="mine/drums", path="drums.onnx"))
    (tmp_path / "vocals.onnx").write_bytes(b"sing")
    vocals = Artefact(
        name="mine/vocals",
        path="vocals.onnx",
        sha256=None,
        n_bytes=None,
        format="onnx",
        architecture="tfc-tdf",
        target="vocals",
        geometry=ArtefactGeometry(n_fft=4096, hop=1024),
        sources=(),
        licence="CC0-1.0",
    )
    bass = replace(models.artefact("mine/bass"), licence="MIT-0")
    now = record_artefacts(tmp_path, [vocals, bass])
    assert [artefact.name for artefact in now.artefacts] == ["mine/bass", "mine/drums", "mine/vocals"]
    assert now.artefact("mine/bass") == bass
    assert now.require("mine/vocals").read_bytes() == b"sing"
    assert now.artefact("mine/vocals").geometry == vocals.geometry


def test_a_folder_without_manifest_gets_one(tmp_path: Path) -> None:
    bass = folder_with(tmp_path / "a", CONTENT, entry()).artefact("mine/bass")
    (tmp_path / "b/mine").mkdir(parents=True)
    (tmp_path / "b/mine/bass.onnx").write_bytes(CONTENT)
    assert record_artefacts(tmp_path / "b", [bass]).artefacts == (bass,)


def test_a_failed_refresh_keeps_the_old_manifest(tmp_path: Path) -> None:
    folder_with(tmp_path, b"new", entry())
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(UnknownNameError):
        refresh_manifest(tmp_path, ["mine/none"])
    (tmp_path / f".manifest.{os.getpid()}.part").mkdir()
    with pytest.raises(OutputError, match="another run is writing this file"):
        refresh_manifest(tmp_path, ["mine/bass"])
    assert (tmp_path / "manifest.json").read_bytes() == before
