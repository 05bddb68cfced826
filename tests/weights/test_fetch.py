"""Fetching puts verified files into place, from any place that has them, and never leaves a wrong one there."""

from __future__ import annotations

import hashlib
import io
import logging
import random
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from my_submission.errors import OutputError, UnknownNameError, WeightsError
from my_submission.files import locks
from my_submission.files.locks import exclusive
from my_submission.weights import FetchProgress, ModelsFolder, fetch
from my_submission.weights.artefact_sources import FileSource, ZipSource, part_path
from tests.local_server import LocalServer, Page, running_server
from tests.weights_fixtures import CONTENT, POINTER, entry, write_manifest

BASS = random.Random(1).randbytes(300_000)
DRUMS = random.Random(2).randbytes(200_000)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with running_server() as local:
        yield local


def entry_of(source: str, content: bytes, **change: Any) -> dict[str, Any]:
    own: dict[str, Any] = {
        "name": f"mine/{source}",
        "path": f"mine/{source}.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "sources": [],
    }
    return entry(**own | change)


def models_of(directory: Path, *entries: dict[str, Any]) -> ModelsFolder:
    return ModelsFolder(write_manifest(directory / "models", *entries))


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def files_in(models: ModelsFolder) -> list[str]:
    """All files but the manifest and the lock."""
    directory = models.directory
    files = (str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
    return sorted(set(files) - {"manifest.json", ".fetch.lock"})


def test_a_file_is_downloaded_verified_and_put_into_place(server: LocalServer, tmp_path: Path) -> None:
    url = server.add("bass", BASS)
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[url]))
    seen: list[FetchProgress] = []
    (result,) = fetch(models, ["mine/bass"], progress=seen.append)
    assert (result.name, result.source) == ("mine/bass", url)
    assert result.path == models.require("mine/bass")
    assert files_in(models) == ["mine/bass.onnx"]
    assert seen[-1] == FetchProgress("mine/bass", url, len(BASS), len(BASS))


def test_what_is_there_already_is_left_alone(server: LocalServer, tmp_path: Path) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[server.add("bass", BASS)]))
    fetch(models, ["mine/bass"])
    written = models.path("mine/bass").stat().st_mtime_ns
    (result,) = fetch(models, ["mine/bass", "mine/bass"])
    assert result.source is None
    assert models.path("mine/bass").stat().st_mtime_ns == written
    assert len(server.requests) == 1


@pytest.mark.parametrize("present", [POINTER, BASS[:1000], bytes(len(BASS))])
def test_a_pointer_or_damaged_file_is_replaced(server: LocalServer, tmp_path: Path, present: bytes) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[server.add("bass", BASS)]))
    models.path("mine/bass").parent.mkdir()
    models.path("mine/bass").write_bytes(present)
    fetch(models, ["mine/bass"])
    assert models.require("mine/bass").read_bytes() == BASS


def test_a_download_that_broke_off_goes_on_in_the_next_call(server: LocalServer, tmp_path: Path) -> None:
    url = server.add("bass", Page(BASS, cut_after=100_000, n_cuts=1, has_ranges=False))
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[url]))
    server.pages["/bass"].n_cuts = 10**9
    with pytest.raises(WeightsError, match="ended after 100000 of 300000 bytes"):
        fetch(models, ["mine/bass"])
    assert not models.is_present("mine/bass")
    server.add("bass", BASS)
    fetch(models, ["mine/bass"])
    assert server.requests[-1] == ("/bass", "bytes=100000-")
    assert models.require("mine/bass").read_bytes() == BASS
    assert files_in(models) == ["mine/bass.onnx"]


def test_a_spliced_file_that_does_not_match_is_fetched_afresh(server: LocalServer, tmp_path: Path) -> None:
    url = server.add("bass", BASS)
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[url]))
    part = part_path(models.path("mine/bass").parent, url)
    part.parent.mkdir()
    part.write_bytes(b"of an older release")
    fetch(models, ["mine/bass"])
    assert models.require("mine/bass").read_bytes() == BASS
    assert files_in(models) == ["mine/bass.onnx"]


def test_wrong_content_is_not_kept_and_both_hashes_are_shown(server: LocalServer, tmp_path: Path) -> None:
    wrong = bytes(len(BASS))
    url = server.add("bass", wrong)
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[url]))
    with pytest.raises(WeightsError) as caught:
        fetch(models, ["mine/bass"])
    for digest in (hashlib.sha256(wrong).hexdigest(), hashlib.sha256(BASS).hexdigest()):
        assert digest in str(caught.value)
    assert caught.value.where == url
    assert files_in(models) == []


def test_a_page_of_text_in_place_of_the_file_is_refused_by_its_size(server: LocalServer, tmp_path: Path) -> None:
    url = server.add("bass", b"<html>please log in</html>")
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[url]))
    with pytest.raises(WeightsError, match="offers 26 bytes where 300000 are expected"):
        fetch(models, ["mine/bass"])


def test_a_pointer_behind_the_address_is_refused(server: LocalServer, tmp_path: Path) -> None:
    url = server.add("bass", POINTER)
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[url], bytes=None))
    with pytest.raises(WeightsError, match="Git LFS pointer"):
        fetch(models, ["mine/bass"])
    assert files_in(models) == []


def test_mirrors_are_tried_in_order(server: LocalServer, tmp_path: Path) -> None:
    urls = [server.url("gone"), server.add("wrong", bytes(len(BASS))), server.add("bass", BASS), server.url("never")]
    models = models_of(tmp_path, entry_of("bass", BASS, sources=urls))
    (result,) = fetch(models, ["mine/bass"])
    assert result.source == urls[2]
    assert [path for path, _ in server.requests] == ["/gone", "/wrong", "/bass"]


@pytest.mark.slow
def test_when_all_mirrors_fail_every_failure_is_told(server: LocalServer, tmp_path: Path) -> None:
    urls = [server.url("gone"), server.add("wrong", bytes(len(BASS))), server.add("down", Page(status=503))]
    models = models_of(tmp_path, entry_of("bass", BASS, sources=urls))
    with pytest.raises(WeightsError) as caught:
        fetch(models, ["mine/bass"])
    message = str(caught.value)
    assert "mine/bass could not be fetched from any of 3 sources" in message
    for expected in (*urls, "answered 404", "is not the file of the manifest", "answered 503", "--from"):
        assert expected in message


def test_an_archive_is_downloaded_once_for_all_its_members(server: LocalServer, tmp_path: Path) -> None:
    content = zipped(**{"all/bass.onnx": BASS, "all/drums.onnx": DRUMS, "all/readme": b"hello"})
    url = server.add("all.zip", content)
    md5 = hashlib.md5(content).hexdigest()
    models = models_of(
        tmp_path,
        entry_of("bass", BASS, sources=[url], member="all/bass.onnx", archive_md5=md5),
        entry_of("drums", DRUMS, sources=[url], member="all/drums.onnx", archive_md5=md5),
    )
    fetch(models, ["mine/bass", "mine/drums"])
    assert models.require("mine/bass").read_bytes() == BASS
    assert models.require("mine/drums").read_bytes() == DRUMS
    assert len(server.requests) == 1
    assert files_in(models) == ["mine/bass.onnx", "mine/drums.onnx"]


def test_an_archive_that_is_gone_is_asked_for_once_and_the_next_mirror_serves(
    server: LocalServer, tmp_path: Path
) -> None:
    gone = server.url("all.zip")
    models = models_of(
        tmp_path,
        entry_of("bass", BASS, sources=[gone, server.add("bass", BASS)], member="bass.onnx"),
        entry_of("drums", DRUMS, sources=[gone, server.add("drums", DRUMS)], member="drums.onnx"),
    )
    fetch(models, ["mine/bass", "mine/drums"])
    assert [path for path, _ in server.requests] == ["/all.zip", "/bass", "/drums"]


def test_an_archive_that_broke_off_goes_on_in_the_next_call(server: LocalServer, tmp_path: Path) -> None:
    content = zipped(**{"bass.onnx": BASS})
    url = server.add("all.zip", Page(content, cut_after=1000, has_ranges=False))
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[url], member="bass.onnx"))
    with pytest.raises(WeightsError, match="ended after 1000 of"):
        fetch(models, ["mine/bass"])
    server.add("all.zip", content)
    fetch(models, ["mine/bass"])
    assert server.requests[-1] == ("/all.zip", "bytes=1000-")
    assert models.require("mine/bass").read_bytes() == BASS


def test_a_spliced_archive_that_does_not_match_is_fetched_afresh(server: LocalServer, tmp_path: Path) -> None:
    content = zipped(**{"bass.onnx": BASS})
    url = server.add("all.zip", content)
    md5 = hashlib.md5(content).hexdigest()
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[url], member="bass.onnx", archive_md5=md5))
    part_path(models.directory, url).write_bytes(bytes(1000))
    fetch(models, ["mine/bass"])
    assert models.require("mine/bass").read_bytes() == BASS


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (zipped(**{"bass.onnx": BASS}) + b"!", "md5 .* expected"),
        (b"no archive", "not a .zip archive"),
        (zipped(**{"bass.onnx": BASS})[:-30], "not a .zip archive"),
    ],
)
def test_a_wrong_archive_is_not_kept(server: LocalServer, tmp_path: Path, content: bytes, complaint: str) -> None:
    url = server.add("all.zip", content)
    md5 = hashlib.md5(zipped(**{"bass.onnx": BASS})).hexdigest()
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[url], member="bass.onnx", archive_md5=md5))
    with pytest.raises(WeightsError, match=complaint) as caught:
        fetch(models, ["mine/bass"])
    assert caught.value.where == url
    assert files_in(models) == []


def test_a_member_with_an_escaping_path_lands_in_its_own_place(server: LocalServer, tmp_path: Path) -> None:
    url = server.add("all.zip", zipped(**{"../../evil/bass.onnx": BASS, "/etc/evil": b"evil"}))
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[url], member="onnx/bass.onnx"))
    fetch(models, ["mine/bass"])
    assert files_in(models) == ["mine/bass.onnx"]
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"drums.onnx": BASS}, "contains none of"),
        ({"a/bass.onnx": BASS, "b/bass.onnx": DRUMS}, "contains none of"),
        ({"bass.onnx": BASS[:10]}, "has 10 bytes where 300000 are expected"),
        ({"bass.onnx": bytes(len(BASS))}, "is not the file of the manifest"),
    ],
)
def test_an_archive_without_the_right_member_is_an_error(
    tmp_path: Path, members: dict[str, bytes], complaint: str
) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS))
    (tmp_path / "all.zip").write_bytes(zipped(**members))
    with pytest.raises(WeightsError, match=complaint):
        fetch(models, ["mine/bass"], from_path=tmp_path / "all.zip")
    assert files_in(models) == []


def test_a_downloaded_archive_without_the_member_names_its_address(server: LocalServer, tmp_path: Path) -> None:
    url = server.add("all.zip", zipped(**{"drums.onnx": BASS}))
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[url], member="bass.onnx"))
    with pytest.raises(WeightsError, match=r"contains none of bass\.onnx, mine/bass\.onnx") as caught:
        fetch(models, ["mine/bass"])
    assert caught.value.where == url
    assert files_in(models) == []


def test_a_copy_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS))
    (tmp_path / "bass.onnx").write_bytes(BASS)
    with pytest.raises(OutputError, match="cannot be written"):
        FileSource(tmp_path / "bass.onnx").stage(models.artefact("mine/bass"), tmp_path, lambda _: None)


def test_a_damaged_local_archive_is_an_error(tmp_path: Path) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS))
    content = bytearray(zipped(**{"bass.onnx": BASS}))
    content[1000] ^= 0xFF
    (tmp_path / "all.zip").write_bytes(content)
    with pytest.raises(WeightsError, match=r"not a readable \.zip archive"):
        fetch(models, ["mine/bass"], from_path=tmp_path / "all.zip")
    assert files_in(models) == []


def test_a_plain_file_at_hand_serves_one_artefact(tmp_path: Path) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS), entry_of("drums", DRUMS))
    mine = tmp_path / "downloaded.bin"
    mine.write_bytes(BASS)
    (result,) = fetch(models, ["mine/bass"], from_path=mine)
    assert result.source == str(mine)
    assert models.require("mine/bass").read_bytes() == mine.read_bytes() == BASS
    with pytest.raises(WeightsError, match="is one file, but 2 artefacts were requested"):
        fetch(models, ["mine/bass", "mine/drums"], from_path=mine)


@pytest.mark.parametrize("name", ["mine/bass.onnx", "bass.onnx", "published_bass.onnx", "in_zip/bass.onnx"])
def test_a_folder_at_hand_serves_files_under_any_known_name(tmp_path: Path, name: str) -> None:
    sources = ["http://127.0.0.1:1/published_bass.onnx"]
    models = models_of(tmp_path, entry_of("bass", BASS, sources=sources, member="in_zip/bass.onnx"))
    (tmp_path / "usb" / name).parent.mkdir(parents=True)
    (tmp_path / "usb" / name).write_bytes(BASS)
    fetch(models, ["mine/bass"], from_path=tmp_path / "usb")
    assert models.require("mine/bass").read_bytes() == BASS


def test_a_folder_at_hand_may_hold_the_published_archive(tmp_path: Path) -> None:
    sources = ["http://127.0.0.1:1/onnx_A.zip"]
    models = models_of(
        tmp_path,
        entry_of("bass", BASS, sources=sources, member="onnx_A/bass.onnx"),
        entry_of("drums", DRUMS, sources=sources, member="onnx_A/drums.onnx"),
    )
    (tmp_path / "usb").mkdir()
    archive = zipped(**{"onnx_A/bass.onnx": BASS, "onnx_A/drums.onnx": DRUMS})
    (tmp_path / "usb/onnx_A.zip").write_bytes(archive)
    (tmp_path / "usb/bass.onnx").write_bytes(DRUMS)  # a namesake from another system
    results = fetch(models, ["mine/drums", "mine/bass"], from_path=tmp_path / "usb")
    assert [result.name for result in results] == ["mine/drums", "mine/bass"]
    assert models.require("mine/bass").read_bytes() == BASS
    assert (tmp_path / "usb/onnx_A.zip").read_bytes() == archive


def test_a_folder_without_the_file_names_what_it_looked_for(tmp_path: Path) -> None:
    sources = ["http://127.0.0.1:1/onnx_A.zip"]
    models = models_of(tmp_path, entry_of("bass", BASS, sources=sources, member="onnx_A/bass.onnx"))
    (tmp_path / "usb").mkdir()
    expected = "contains none of mine/bass.onnx, onnx_A/bass.onnx, bass.onnx, onnx_A.zip"
    with pytest.raises(WeightsError, match=expected):
        fetch(models, ["mine/bass"], from_path=tmp_path / "usb")
    with pytest.raises(WeightsError, match="does not exist"):
        fetch(models, ["mine/bass"], from_path=tmp_path / "nothing")


@pytest.mark.parametrize("served", ["mirror/mine/bass.onnx", "mirror/bass.onnx", "mirror/official.onnx"])
def test_a_mirror_is_a_folder_on_the_web(server: LocalServer, tmp_path: Path, served: str) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[server.url("elsewhere/official.onnx")]))
    url = server.add(served, BASS)
    (result,) = fetch(models, ["mine/bass"], mirror=server.url("mirror/"))
    assert result.source == url
    assert not any(path.startswith("/elsewhere") for path, _ in server.requests)


def test_a_mirror_may_be_an_archive_or_the_file_itself(server: LocalServer, tmp_path: Path) -> None:
    entries = (entry_of("bass", BASS, sources=[]), entry_of("drums", DRUMS, sources=[]))
    one, two = models_of(tmp_path / "1", *entries), models_of(tmp_path / "2", *entries)
    archive = server.add("x/y.zip", zipped(**{"bass.onnx": BASS, "drums.onnx": DRUMS}))
    fetch(one, ["mine/bass", "mine/drums"], mirror=archive)
    assert files_in(one) == ["mine/bass.onnx", "mine/drums.onnx"]
    file = server.add("x/whatever.onnx", DRUMS)
    fetch(two, ["mine/drums"], mirror=file)
    assert files_in(two) == ["mine/drums.onnx"]
    with pytest.raises(WeightsError, match="is one file, but 2 artefacts"):
        fetch(two, ["mine/drums", "mine/bass"], mirror=file)


@pytest.mark.parametrize("candidate", [FileSource, ZipSource])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, candidate: type[FileSource | ZipSource]) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS))
    with pytest.raises(WeightsError, match="cannot be read"):
        candidate(tmp_path / "vanished").stage(models.artefact("mine/bass"), tmp_path / "staged", lambda _: None)


def test_a_file_without_address_says_how_to_bring_it(tmp_path: Path) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS))
    with pytest.raises(WeightsError, match=r"no address is known.*--from FILE_OR_ZIP_OR_FOLDER"):
        fetch(models, ["mine/bass"])


def test_a_file_without_known_hash_is_kept_with_a_warning(
    server: LocalServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.add("bass", CONTENT)
    models = models_of(tmp_path, entry(sha256=None, bytes=None, sources=[url]))
    models.path("mine/bass").parent.mkdir()
    part_path(models.path("mine/bass").parent, url).write_bytes(b"old")  # nothing would notice a bad splice
    with caplog.at_level(logging.WARNING):
        fetch(models, ["mine/bass"])
    assert models.path("mine/bass").read_bytes() == CONTENT
    assert hashlib.sha256(CONTENT).hexdigest() in caplog.text


def test_wrong_use_is_refused_before_anything_is_fetched(server: LocalServer, tmp_path: Path) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[server.add("bass", BASS)]))
    with pytest.raises(UnknownNameError):
        fetch(models, ["mine/bass", "mine/nothing"])
    with pytest.raises(ValueError, match="not both"):
        fetch(models, ["mine/bass"], from_path=tmp_path, mirror="http://127.0.0.1:1")
    assert not server.requests
    assert files_in(models) == []


def test_a_place_that_cannot_be_written_is_an_output_error(server: LocalServer, tmp_path: Path) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[server.add("bass", BASS)]))
    (models.directory / "mine").write_bytes(b"a file where a folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        fetch(models, ["mine/bass"])


def test_two_processes_fetch_one_file_without_harm(server: LocalServer, tmp_path: Path) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS, sources=[server.add("bass", BASS)]))
    code = "import sys; from my_submission.weights import *; fetch(ModelsFolder(sys.argv[1]), ['mine/bass'])"
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", code, str(models.directory)]
    both = [subprocess.Popen(command, cwd=root) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert models.require("mine/bass").read_bytes() == BASS
    assert len(server.requests) == 1  # the later one found the file in place
    assert files_in(models) == ["mine/bass.onnx"]


def test_a_second_holder_of_the_lock_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    is_waiting = threading.Event()
    monkeypatch.setattr(locks._logger, "info", lambda *_: is_waiting.set())

    def second() -> None:
        with exclusive(tmp_path / "lock"):
            order.append("second")

    with exclusive(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        is_waiting.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="a file is where a folder should be"), exclusive(tmp_path / "file/lock"):
        pass


def test_an_archive_with_a_member_without_name_is_read(tmp_path: Path) -> None:
    models = models_of(tmp_path, entry_of("bass", BASS))
    archive = zipped(**{"x": b"other", "bass.onnx": BASS})
    at = archive.rindex(b"PK\x01\x02", 0, archive.rindex(b"bass.onnx"))
    first = archive.index(b"PK\x01\x02")
    assert first < at
    nameless = archive[: first + 28] + b"\0\0" + archive[first + 30 : first + 46] + archive[first + 47 :]
    end = nameless.rindex(b"PK\x05\x06")
    size = int.from_bytes(nameless[end + 12 : end + 16], "little") - 1
    nameless = nameless[: end + 12] + size.to_bytes(4, "little") + nameless[end + 16 :]
    (tmp_path / "a.zip").write_bytes(nameless)
    fetch(models, ["mine/bass"], from_path=tmp_path / "a.zip")
    assert models.require("mine/bass").read_bytes() == BASS
