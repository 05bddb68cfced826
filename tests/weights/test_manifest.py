"""The manifest is read strictly: every deviation from the schema is an error that names the entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from my_submission.errors import WeightsError
from my_submission.geometry import StftGeometry
from my_submission.weights import Artefact, ArtefactGeometry, read_manifest
from my_submission.weights.content_checks import MDX_NET
from my_submission.weights.manifest import is_archive, is_url, manifest_text, url_file_name
from my_submission.weights.published_hashes import PUBLISHED_GIT_BLOBS, PUBLISHED_SHA256
from tests.weights_fixtures import ENTRY, write_manifest

OWN_MODELS = Path(__file__).resolve().parents[2] / "models"


def test_an_entry_is_read_as_it_stands(tmp_path: Path) -> None:
    zipped = ENTRY | {
        "name": "mine/drums",
        "sources": ["https://example.org/all.zip"],
        "member": "all/drums.onnx",
        "archive_md5": "0f" * 16,
        "sha256": None,
        "sha256_prefix": "0123abcd",
    }
    first, second = read_manifest(write_manifest(tmp_path, ENTRY, zipped))
    assert first == Artefact(
        name="mine/bass",
        path="mine/bass.onnx",
        sha256="ab" * 32,
        n_bytes=12,
        format="onnx",
        architecture="tfc-tdf",
        target="bass",
        geometry=ArtefactGeometry(n_fft=4096, hop=1024),
        sources=("https://example.org/bass.onnx",),
        licence="MIT",
    )
    assert first.geometry is not None
    assert first.geometry.with_kept_bins(2048) == StftGeometry(4096, 1024, 2048)
    assert (second.member, second.archive_md5, second.known_digest) == ("all/drums.onnx", "0f" * 16, "0123abcd")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"colour": "red"}, "there is no key 'colour'"),
        ({"name": 3}, "name: expected a string, got 3"),
        ({"name": "Mine/Bass"}, "lower-case"),
        ({"bytes": "12"}, "bytes: expected a whole number, got '12'"),
        ({"bytes": True}, "bytes: expected a whole number, got True"),
        ({"bytes": 0}, "bytes is 0"),
        ({"sha256": "ab" * 31}, "sha256"),
        ({"sha256": "AB" * 32}, "sha256"),
        ({"sha256_prefix": "abc"}, "sha256_prefix"),
        ({"git_blob": "0f" * 16}, "git_blob"),
        ({"options": {"last_activation": 0.5}}, "options"),
        ({"archive_md5": "ab"}, "archive_md5"),
        ({"format": "pickle"}, "there is no value 'pickle'.*onnx or torch"),
        ({"target": ["bass"]}, "target: expected a string"),
        ({"geometry": {"n_fft": 4096}}, "geometry: the key 'hop' is missing"),
        ({"geometry": {"n_fft": 4096, "hop": 1024, "win": 1}}, "there is no key 'win'"),
        ({"geometry": {"n_fft": 4096, "hop": 1024, "frames": "many"}}, "geometry.frames: expected a whole number"),
        ({"geometry": {"n_fft": 4095, "hop": 1024}}, "n_fft=4095"),
        ({"geometry": [4096, 1024]}, "expected a table"),
        ({"sources": "https://example.org/a"}, "expected a list"),
        ({"sources": ["file:///etc/passwd"]}, "not an http"),
        ({"sources": ["https://example.org/a.zip"]}, "member"),
        ({"member": "../bass.onnx"}, "does not stay inside"),
        ({"path": "../bass.onnx"}, "does not stay inside"),
        ({"path": "mine/../../bass.onnx"}, "does not stay inside"),
        ({"path": "/etc/passwd"}, "does not stay inside"),
        ({"path": "C:/bass.onnx"}, "does not stay inside"),
        ({"path": "mine\\..\\bass.onnx"}, "does not stay inside"),
        ({"path": "./bass.onnx"}, "does not stay inside"),
        ({"path": ""}, "does not stay inside"),
        ({"path": "."}, "does not stay inside"),
        ({"path": "manifest.json"}, "the manifest itself"),
    ],
)
def test_a_bad_entry_is_refused_with_its_name(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(WeightsError, match=complaint) as caught:
        read_manifest(write_manifest(tmp_path, ENTRY | {"name": "mine/good"}, ENTRY | change))
    assert caught.value.where == str(tmp_path / "manifest.json")
    assert ('entry "' if isinstance((ENTRY | change)["name"], str) else "entry number 2") in str(caught.value)


@pytest.mark.parametrize("key", sorted(ENTRY.keys() - {"target", "geometry"}))
def test_a_missing_key_is_refused(tmp_path: Path, key: str) -> None:
    entry = {name: value for name, value in ENTRY.items() if name != key}
    with pytest.raises(WeightsError, match=f"the key {key!r} is missing"):
        read_manifest(write_manifest(tmp_path, entry))


def test_a_name_appears_once(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match='entry "mine/bass" appears twice'):
        read_manifest(write_manifest(tmp_path, ENTRY, ENTRY | {"path": "other.onnx"}))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not a manifest"),
        ('{"schema": 1, "schema": 1, "artefacts": []}', "'schema' appears twice"),
        ('{"schema": 2, "artefacts": []}', "schema is 2"),
        ('{"schema": true, "artefacts": []}', "expected a whole number, got True"),
        ('{"schema": 1}', "the key 'artefacts' is missing"),
        ('{"schema": 1, "artefacts": {}}', "expected a list"),
        ('{"schema": 1, "artefacts": [], "more": 1}', "there is no key 'more'"),
        ('{"schema": 1, "artefacts": [4]}', "entry number 1: expected a table, got 4"),
        ("[]", "expected a table"),
    ],
)
def test_a_bad_document_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(WeightsError, match=complaint):
        read_manifest(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b'{"schema": "\xff"}')
    with pytest.raises(WeightsError, match="is not a manifest"):
        read_manifest(tmp_path)


def test_a_folder_without_manifest_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no manifest\.json here.*README"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(WeightsError, match="cannot be read"):
        read_manifest(tmp_path)


def test_addresses_and_archives_are_told_by_their_form() -> None:
    assert is_url("https://zenodo.org/record/1/files/a.zip?download=1")
    assert not is_url("/home/a.zip")
    assert not is_url("C:/a.zip")
    assert not is_url("http:///a.zip")
    assert url_file_name("https://zenodo.org/record/1/files/a.zip?download=1") == "a.zip"
    assert is_archive("https://zenodo.org/record/1/files/a.ZIP?download=1")
    assert not is_archive("mixer.ckpt")


def test_the_project_manifest_covers_leaderboards_a_and_b() -> None:
    artefacts = {artefact.name: artefact for artefact in read_manifest(OWN_MODELS)}
    four = ("bass", "drums", "other", "vocals")
    expected = {f"kuielab-{board}/{source}" for board in "ab" for source in four}
    assert expected | {"kuielab-a/mixer", "demucs/demucs", "demucs/demucs-extra"} <= artefacts.keys()
    for name in expected:
        artefact = artefacts[name]
        assert artefact.format == "onnx"
        assert artefact.target == name.split("/")[1]
        assert artefact.geometry is not None
        assert (artefact.geometry.n_fft, artefact.geometry.hop) == (
            {"bass": 16384, "drums": 4096, "other": 8192, "vocals": 6144}[artefact.target],
            1024,
        )
    sizes = {name: artefacts[name].n_bytes for name in expected}
    assert sizes.pop("kuielab-b/drums") == 21_930_313
    assert set(sizes.values()) == {29_703_204}


def test_the_project_manifest_is_written_as_it_is_read() -> None:
    assert manifest_text(read_manifest(OWN_MODELS)) == (OWN_MODELS / "manifest.json").read_text(encoding="utf-8")


def test_every_published_hash_is_the_one_of_the_project_manifest() -> None:
    artefacts = {artefact.name: artefact for artefact in read_manifest(OWN_MODELS)}
    assert {name: artefacts[name].known_digest for name in PUBLISHED_SHA256} == dict(PUBLISHED_SHA256)
    assert {name: artefacts[name].git_blob for name in PUBLISHED_GIT_BLOBS} == dict(PUBLISHED_GIT_BLOBS)


NEVER_PUBLISHED = {
    *("lasaft-v1/network", "lasaft-v2/medium"),
    *(f"aimless/{name}" for name in ("cdx-hdemucs", "cdx-band-split-rnn", "mdx-hdemucs", "x-umx", "demucs-split")),
}
"""Known by name and architecture alone: no address and no hash of them was ever given."""

WITHOUT_HASH = {"hdemucs/musdb"}
"""Published at an address of which no hash is known."""


def test_what_is_not_ours_can_be_fetched_and_is_not_a_committed_file() -> None:
    for artefact in read_manifest(OWN_MODELS):
        if artefact.name.startswith(("starter", "spleeter")):  # committed
            assert not artefact.sources
            assert artefact.sha256 is not None
        else:
            assert bool(artefact.sources) == (artefact.name not in NEVER_PUBLISHED)
            if artefact.architecture != MDX_NET:  # known by the table of public graphs
                is_known = bool(artefact.known_digest or artefact.git_blob)
                assert is_known == (artefact.name not in NEVER_PUBLISHED | WITHOUT_HASH)
            assert artefact.licence
