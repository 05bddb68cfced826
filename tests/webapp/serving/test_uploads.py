"""Uploads: on the disk from the first block on, within bounds, gone as soon as nobody wants them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from my_submission.errors import OutputError
from my_submission.webapp.serving import upload_route
from my_submission.webapp.serving.upload_route import UploadRoute
from my_submission.webapp.serving.uploads import UNUSED_SECONDS, Upload, UploadLimits, UploadRefusedError, UploadStore
from tests.asgi import Answer, ask
from tests.rigs import FakeClock

KIB = 1 << 10
LIMITS = UploadLimits(file_bytes=64 * KIB, visitor_bytes=80 * KIB, visitor_files=3, all_bytes=256 * KIB, all_files=6)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> UploadStore:
    return UploadStore(tmp_path, LIMITS, clock=clock)


def put(store: UploadStore, visitor: str, file_id: str, n_bytes: int = KIB) -> Upload:
    upload = store.announce(visitor, file_id, n_bytes)
    upload.write(bytes(n_bytes))
    upload.complete(f"{file_id}.wav", "audio/wav")
    return upload


def ids(store: UploadStore, visitor: str, among: Iterable[str]) -> list[str]:
    return [file_id for file_id in among if store.find(visitor, file_id) is not None]


def test_an_upload_is_found_when_it_is_complete_and_counts_from_the_start(store: UploadStore, tmp_path: Path) -> None:
    upload = store.announce("ann", "1", 4 * KIB)
    upload.write(b"abc")
    assert store.find("ann", "1") is None
    assert (store.n_files, store.n_bytes) == (1, 4 * KIB)
    upload.complete("a song.wav", "audio/wav")
    assert store.find("ann", "1") is upload
    assert store.find("bob", "1") is None
    assert (store.n_files, store.n_bytes) == (1, 3)
    assert upload.path.read_bytes() == b"abc"
    upload.release()
    upload.release()
    assert (store.n_files, store.n_bytes, list(tmp_path.iterdir())) == (0, 0, [])


def test_a_visitor_s_next_upload_replaces_the_oldest(store: UploadStore, tmp_path: Path) -> None:
    for index in range(200):
        put(store, "ann", str(index))
    assert ids(store, "ann", map(str, range(200))) == ["197", "198", "199"]
    assert len(list(tmp_path.iterdir())) == store.n_files == 3
    put(store, "ann", "large", 64 * KIB)  # with three others it would be more than 80 KiB
    put(store, "ann", "larger", 64 * KIB)
    assert ids(store, "ann", ("199", "large", "larger")) == ["larger"]
    put(store, "ann", "larger", KIB)
    assert store.n_bytes == KIB


def test_what_is_taken_counts_in_all_and_no_longer_for_its_visitor(store: UploadStore, tmp_path: Path) -> None:
    put(store, "ann", "1", 64 * KIB)
    song = store.take("ann", "1")
    assert store.find("ann", "1") is None
    put(store, "ann", "2", 64 * KIB)
    assert store.n_bytes == 128 * KIB
    with pytest.raises(UploadRefusedError, match="was deleted"):
        store.take("ann", "1")
    store.remove_visitor("ann")
    assert store.n_bytes == 64 * KIB
    assert song.path.exists()
    song.release()
    assert (store.n_bytes, list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize(("n_bytes", "n_visitors"), [(64 * KIB, 4), (KIB, 6)], ids=["bytes", "files"])
def test_no_more_than_so_much_in_all(store: UploadStore, clock: FakeClock, n_bytes: int, n_visitors: int) -> None:
    for index in range(n_visitors):
        assert store.has_room
        put(store, f"visitor {index}", "1", n_bytes)
    assert not store.has_room
    with pytest.raises(UploadRefusedError, match="cannot take another upload now") as caught:
        store.announce("late", "1", n_bytes)
    assert caught.value.status == HTTPStatus.SERVICE_UNAVAILABLE
    store.remove("visitor 1", "1")
    put(store, "late", "1", n_bytes)
    clock.pass_(UNUSED_SECONDS + 1)
    store.find("late", "1")
    put(store, "later", "1", n_bytes)  # the place of one that no page has asked for in five minutes
    assert store.find("visitor 0", "1") is None
    assert store.find("late", "1") is not None


def test_a_file_is_as_long_as_announced_at_most_and_never_too_large(store: UploadStore, tmp_path: Path) -> None:
    with pytest.raises(UploadRefusedError, match=r"larger than the limit of 0\.0625 MiB") as caught:
        store.announce("ann", "1", 1 << 20)
    assert caught.value.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert list(tmp_path.iterdir()) == []
    upload = store.announce("ann", "1", KIB)
    with pytest.raises(UploadRefusedError, match="longer than announced"):
        upload.write(bytes(KIB + 1))
    upload.release()
    upload = store.announce("ann", "1", 64 * KIB + 200)  # 200 bytes of them are the form's
    with pytest.raises(UploadRefusedError, match="larger than"):
        upload.write(bytes(64 * KIB + 1))
    upload.release()


def test_an_upload_that_was_replaced_on_its_way_ends_there(store: UploadStore, tmp_path: Path) -> None:
    upload = store.announce("ann", "1", KIB)
    upload.write(b"abc")
    store.remove_visitor("ann")
    with pytest.raises(UploadRefusedError, match="was replaced"):
        upload.write(b"abc")
    with pytest.raises(UploadRefusedError, match="was replaced"):
        upload.complete("late.wav", "audio/wav")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_nothing_is_told_without_its_place(store: UploadStore, tmp_path: Path) -> None:
    tmp_path.rmdir()
    with pytest.raises(OutputError, match="cannot be stored") as caught:
        store.announce("ann", "1", KIB)
    assert str(tmp_path) not in str(caught.value)
    assert (store.n_files, store.n_bytes) == (0, 0)


def form(content: bytes, name: str = "song.wav", *, n_files: int = 1) -> bytes:
    part = (
        f'--b0undary\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    ).encode() + content
    return b"\r\n".join([part] * n_files) + b"\r\n--b0undary--\r\n"


def upload(store: UploadStore, body: bytes, *, step: int = 1000, path: str = "/up/ann/1", **request: Any) -> Answer:
    """Send a form; ``content_length`` and ``content_type`` replace the true ones."""

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("elsewhere")(scope, receive, send)

    def refusal(_: Request, visitor: str) -> Response | None:
        return PlainTextResponse("no", 403) if visitor == "mallory" else None

    on_complete = request.pop("on_complete", lambda visitor, file_id: None)
    headers = {
        "content-length": request.pop("content_length", str(len(body))),
        "content-type": request.pop("content_type", "multipart/form-data; boundary=b0undary"),
    }
    route = UploadRoute(elsewhere, store, prefix="/up", refusal=refusal, on_complete=on_complete)
    blocks = [body[start : start + step] for start in range(0, len(body), step)] or [b""]
    return ask(route, path, method="PUT", headers=headers, body=blocks, **request)


@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
def test_a_form_is_read_however_it_is_cut(store: UploadStore, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_route, "WRITE_BYTES", 500)
    content = b"\r\n--b0undar\r\n" + bytes(range(256)) * 8
    assert upload(store, form(content, "Über.wav"), step=step).status == 204
    found = store.find("ann", "1")
    assert found is not None
    assert (found.name, found.content_type) == ("Über.wav", "audio/wav")
    assert found.path.read_bytes() == content
    assert store.n_bytes == len(content)


def test_a_complete_upload_is_told_before_it_is_answered(store: UploadStore) -> None:
    told = []

    def take(visitor: str, file_id: str) -> None:
        told.append((visitor, file_id, store.take(visitor, file_id).name))

    assert upload(store, form(bytes(10)), on_complete=take).status == 204
    assert told == [("ann", "1", "song.wav")]
    assert upload(store, form(bytes(10))[:-5], on_complete=take).status == 400
    assert len(told) == 1


GOOD = form(bytes(2000))


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (form(bytes(65 * KIB)), {}, 413),
        (GOOD, {"content_length": str(1 << 40)}, 413),
        (GOOD, {"content_length": "100"}, 400),
        (GOOD, {"content_length": ""}, 411),
        (GOOD, {"content_length": "-5"}, 411),
        (GOOD, {"content_length": "9" * 5_000}, 411),
        (GOOD, {"content_length": "²"}, 411),
        (GOOD[:-30], {}, 400),
        (form(b"a", n_files=2), {}, 400),
        (b"no form", {}, 400),
        (b"", {}, 400),
        (GOOD, {"content_type": "audio/wav"}, 400),
        (GOOD, {"content_type": "multipart/form-data"}, 400),
        (GOOD, {"content_type": "multipart/form-data; boundary=" + "b" * 9_000}, 400),
        (GOOD, {"path": "/up/mallory/1"}, 403),
        (GOOD, {"path": "/up/ann/1/2"}, 404),
        (GOOD, {"path": "/up/ann/"}, 404),
        (GOOD, {"path": "/up//1"}, 404),
        (GOOD, {"path": "/upper/ann/1"}, 200),
    ],
)
def test_what_is_no_upload_is_refused_and_leaves_nothing(
    store: UploadStore, tmp_path: Path, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = upload(store, body, **headers)
    assert answer.status == status
    assert str(tmp_path) not in answer.body.decode()
    assert (store.n_files, list(tmp_path.iterdir())) == (0, [])


def test_two_hundred_uploads_that_nobody_takes_leave_three(store: UploadStore, tmp_path: Path) -> None:
    for index in range(200):
        assert upload(store, form(bytes(8 * KIB)), path=f"/up/ann/{index}", step=1 << 20).status == 204
    assert len(list(tmp_path.iterdir())) == 3
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == store.n_bytes == 24 * KIB


def test_a_connection_that_breaks_leaves_nothing(store: UploadStore, tmp_path: Path) -> None:
    assert upload(store, GOOD[:1500], content_length=str(len(GOOD)), end="cut").status == 0
    assert (store.n_files, list(tmp_path.iterdir())) == (0, [])


def test_a_visitor_who_sends_nothing_more_is_let_go(
    store: UploadStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_route, "MAX_IDLE_SECONDS", 0.0)
    assert upload(store, GOOD[:1500], content_length=str(len(GOOD)), end="silence").status == 408
    assert (store.n_files, list(tmp_path.iterdir())) == (0, [])


def test_files_of_uploads_are_for_this_server_alone(store: UploadStore) -> None:
    assert os.sep not in put(store, "../../etc", "../passwd").path.name
