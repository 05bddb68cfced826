"""A download ends with exactly the served bytes, however often it breaks off, or with an error naming the address."""

from __future__ import annotations

import http.client
import io
import random
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from my_submission.errors import OutputError, WeightsError
from my_submission.weights import download as download_module
from my_submission.weights.download import download
from my_submission.weights.http_answers import WebRedirects
from tests.local_server import LocalServer, Page, running_server

BODY = random.Random(2021).randbytes(1_000_003)
"""More than three blocks, not a multiple of any."""


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with running_server() as local:
        yield local


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.part"


def never(seconds: float) -> None:
    raise AssertionError(f"waits for {seconds} s")


def ignore(_done: int, _total: int | None) -> None:
    pass


def test_a_whole_body_arrives_and_is_reported(server: LocalServer, part: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    url = server.add("file", BODY)
    assert not download(url, part, report=lambda done, total: seen.append((done, total)))
    assert part.read_bytes() == BODY
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_part_is_taken_up_where_it_ends(server: LocalServer, part: Path) -> None:
    url = server.add("file", BODY)
    part.write_bytes(BODY[:700_000])
    seen: list[int] = []
    assert download(url, part, report=lambda done, _: seen.append(done))
    assert part.read_bytes() == BODY
    assert server.requests == [("/file", "bytes=700000-")]
    assert seen[0] == 700_000


def test_a_server_without_ranges_starts_afresh(server: LocalServer, part: Path) -> None:
    url = server.add("file", Page(BODY, has_ranges=False))
    part.write_bytes(b"x" * 700_000)
    assert not download(url, part, report=ignore)
    assert part.read_bytes() == BODY


def test_a_part_longer_than_the_file_starts_afresh(server: LocalServer, part: Path) -> None:
    url = server.add("file", BODY)
    part.write_bytes(BODY + b"more")
    assert not download(url, part, report=ignore)
    assert part.read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [f"bytes={len(BODY) + 4}-", None]


def test_a_part_that_is_the_file_is_not_fetched_again(server: LocalServer, part: Path) -> None:
    url = server.add("file", BODY)
    part.write_bytes(BODY)
    assert download(url, part, report=ignore)
    assert part.read_bytes() == BODY
    assert len(server.requests) == 1


def test_resuming_can_be_forbidden(server: LocalServer, part: Path) -> None:
    url = server.add("file", BODY)
    part.write_bytes(b"x" * 10)
    assert not download(url, part, report=ignore, may_resume=False)
    assert part.read_bytes() == BODY


@pytest.mark.parametrize("stated", [f"bytes 5-9/{len(BODY)}", "nonsense", "bytes */10"])
def test_a_part_from_elsewhere_in_the_file_is_not_glued_on(server: LocalServer, part: Path, stated: str) -> None:
    url = server.add("file", Page(BODY, forced_range=stated))
    part.write_bytes(BODY[:7])
    with pytest.raises(WeightsError, match="only a part of the file"):
        download(url, part, report=ignore)
    assert not part.exists()


def test_a_body_that_breaks_off_is_continued(server: LocalServer, part: Path) -> None:
    url = server.add("file", Page(BODY, cut_after=400_000, n_cuts=2))
    assert download(url, part, report=ignore)
    assert part.read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [None, "bytes=400000-", "bytes=800000-"]


def test_a_body_that_always_breaks_off_without_progress_is_an_error(server: LocalServer, part: Path) -> None:
    url = server.add("file", Page(BODY, has_ranges=False, cut_after=1000))
    with pytest.raises(WeightsError, match=rf"{url}: the connection ended after 1000 of {len(BODY)} bytes.*it resumes"):
        download(url, part, report=ignore)
    assert part.read_bytes() == BODY[:1000]


def test_a_body_that_trickles_is_given_up_and_kept(server: LocalServer, part: Path) -> None:
    url = server.add("file", Page(BODY, cut_after=10))
    with pytest.raises(WeightsError, match="ended after 50 of"):
        download(url, part, report=ignore)
    assert part.read_bytes() == BODY[:50]


def test_a_body_of_unstated_length_arrives(server: LocalServer, part: Path) -> None:
    url = server.add("file", Page(BODY, is_chunked=True))
    seen: list[int | None] = []
    download(url, part, report=lambda _, total: seen.append(total))
    assert part.read_bytes() == BODY
    assert set(seen) == {None}


def test_a_body_of_unstated_length_that_breaks_off_is_an_error(server: LocalServer, part: Path) -> None:
    url = server.add("file", Page(BODY, is_chunked=True, cut_after=1000, has_ranges=False))
    with pytest.raises(WeightsError, match="the connection broke"):
        download(url, part, report=ignore)


@pytest.mark.parametrize("status", [403, 404, 410, 500, 501])
def test_an_http_error_names_the_address_and_the_answer(server: LocalServer, part: Path, status: int) -> None:
    url = server.add("file", Page(b"sorry", status=status))
    with pytest.raises(WeightsError, match=f"{url}: the server answered {status}"):
        download(url, part, report=ignore, sleep=never)
    assert not part.exists()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again_after_a_while(server: LocalServer, part: Path, status: int) -> None:
    waited: list[float] = []
    url = server.add("file", Page(BODY, status=status, n_refusals=3))
    assert not download(url, part, report=ignore, sleep=waited.append)
    assert part.read_bytes() == BODY
    assert waited == [1, 2, 4]
    url = server.add("file", Page(BODY, status=status))
    with pytest.raises(WeightsError, match=rf"{url}: the server answered {status} .*\. Try again later"):
        download(url, part.with_name("other"), report=ignore, sleep=waited.append)
    assert len(waited) == 6


def test_a_server_says_how_long_to_wait(server: LocalServer, part: Path) -> None:
    waited: list[float] = []
    url = server.add("file", Page(BODY, status=503, n_refusals=1, headers={"Retry-After": "17"}))
    download(url, part, report=ignore, sleep=waited.append)
    assert waited == [17]
    for header in ("86400", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"):
        url = server.add("file", Page(BODY, status=503, n_refusals=1, headers={"Retry-After": header}))
        with pytest.raises(WeightsError, match=r"answered 503 .*, and requests a wait of \d+ s"):
            download(url, part.with_name("other"), report=ignore, sleep=never)
    for header in ("soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT"):
        url = server.add("file", Page(BODY, status=503, n_refusals=1, headers={"Retry-After": header}))
        download(url, part.with_name("other"), report=ignore, sleep=waited.append)
    assert waited[1:] == [1, 1, 0]


def test_another_size_than_expected_is_refused_before_it_is_fetched(server: LocalServer, part: Path) -> None:
    url = server.add("file", BODY)
    with pytest.raises(WeightsError, match=f"offers {len(BODY)} bytes where 5 are expected"):
        download(url, part, report=ignore, expected_bytes=5)
    assert not part.exists()


def test_nobody_listening_is_an_error(part: Path) -> None:
    with socket.socket() as reserved:  # bound, so that nobody else takes it, and not listening
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/file"
        with pytest.raises(WeightsError, match=f"{url}: cannot be reached"):
            download(url, part, report=ignore)


def test_a_silent_server_is_given_up(part: Path) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/file"
        with pytest.raises(WeightsError, match=r"cannot be reached.*timed out"):
            download(url, part, report=ignore, timeout_seconds=0.05, sleep=lambda _: None)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a", "/etc/passwd", "http://"])
def test_only_web_addresses_are_opened(part: Path, url: str) -> None:
    with pytest.raises(WeightsError, match="not an http or https address"):
        download(url, part, report=ignore)


def test_an_impossible_port_is_an_error(part: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be reached"):
        download("http://127.0.0.1:notaport/file", part, report=ignore)


def test_a_part_that_cannot_be_written_is_an_output_error(server: LocalServer, tmp_path: Path) -> None:
    url = server.add("file", BODY)
    with pytest.raises(OutputError, match=r"cannot be written"):
        download(url, tmp_path / "no such folder/file.part", report=ignore)


def test_a_full_disk_is_an_output_error(server: LocalServer, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    url = server.add("file", BODY)
    monkeypatch.setattr(download_module, "_size", lambda _: 0)
    with pytest.raises(OutputError, match=r"No space left on device.*Free some space"):
        download(url, Path("/dev/full"), report=ignore)


# ---- bodies without end, other places, other files -------------------------------------------------------------------


@pytest.mark.parametrize("page", [Page(BODY, is_endless=True), Page(BODY, is_chunked=True)])
def test_a_body_longer_than_expected_is_stopped_at_the_expected_size(
    server: LocalServer, part: Path, page: Page
) -> None:
    seen: list[int] = []
    url = server.add("file", page)
    with pytest.raises(WeightsError, match="sends more than the 300000 bytes expected; the download was stopped"):
        download(url, part, report=lambda done, _: seen.append(done), expected_bytes=300_000)
    assert max(seen) <= 300_000
    assert part.stat().st_size == 0


def test_a_body_of_unknown_size_has_an_end(server: LocalServer, part: Path) -> None:
    url = server.add("file", Page(BODY, is_endless=True))
    with pytest.raises(WeightsError, match="sends more than the 2500000 bytes that weights may have"):
        download(url, part, report=ignore, max_bytes=2_500_000)
    url = server.add("file", BODY)
    with pytest.raises(WeightsError, match="offers 1000003 bytes, more than any weights have"):
        download(url, part, report=ignore, max_bytes=1_000_000)
    download(url, part, report=ignore, max_bytes=len(BODY))
    assert part.read_bytes() == BODY


def test_a_part_longer_than_expected_starts_afresh(server: LocalServer, part: Path) -> None:
    part.write_bytes(BODY + b"more")
    download(server.add("file", BODY), part, report=ignore, expected_bytes=len(BODY))
    assert part.read_bytes() == BODY
    assert server.requests == [("/file", None)]


@pytest.mark.parametrize("target", ["ftp://example.org/a", "file:///etc/passwd", "gopher://x/"])
def test_redirects_to_anything_but_the_web_are_refused(server: LocalServer, part: Path, target: str) -> None:
    url = server.add("file", Page(b"", status=302, headers={"Location": target}))
    with pytest.raises(WeightsError, match=rf"{url}: .*(not a|no) ?(web address|llowed)"):
        download(url, part, report=ignore, sleep=never)
    assert not part.exists()


def test_redirects_on_the_web_are_followed_but_not_out_of_encryption(server: LocalServer, part: Path) -> None:
    url = server.add("old", Page(b"", status=301, headers={"Location": server.add("new", BODY)}))
    download(url, part, report=ignore)
    assert part.read_bytes() == BODY
    secure = urllib.request.Request("https://example.org/a")
    arguments = (io.BytesIO(), 302, "Found", http.client.HTTPMessage())
    with pytest.raises(WeightsError, match="unlike this address, is not encrypted"):
        WebRedirects().redirect_request(secure, *arguments, "http://example.org/a")
    followed = WebRedirects().redirect_request(secure, *arguments, "https://example.org/b")
    assert followed is not None
    assert followed.full_url == "https://example.org/b"


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_a_file_that_changed_on_the_server_is_not_glued_on(server: LocalServer, part: Path, header: str) -> None:
    url = server.add("file", Page(BODY, cut_after=400_000, has_ranges=False, headers={header: '"one"'}))
    with pytest.raises(WeightsError, match="it resumes the download"):
        download(url, part, report=ignore)
    assert part.stat().st_size == 400_000
    changed = bytes(len(BODY))
    server.add("file", Page(changed, headers={header: '"two"'}))
    assert not download(url, part, report=ignore)
    assert server.conditions[-1] == '"one"'
    assert part.read_bytes() == changed
    assert list(part.parent.iterdir()) == [part]


def test_a_file_that_did_not_change_goes_on(server: LocalServer, part: Path) -> None:
    page = Page(BODY, cut_after=400_000, n_cuts=1, headers={"ETag": '"one"'})
    url = server.add("file", page)
    assert download(url, part, report=ignore)
    assert [asked for _, asked in server.requests] == [None, "bytes=400000-"]
    assert part.read_bytes() == BODY


def test_a_file_of_another_size_is_not_glued_on(server: LocalServer, part: Path) -> None:
    url = server.add("file", Page(BODY, cut_after=400_000, has_ranges=False))
    with pytest.raises(WeightsError, match="it resumes the download"):
        download(url, part, report=ignore)
    longer = BODY[::-1] + b"more"
    server.add("file", longer)
    assert not download(url, part, report=ignore)
    assert part.read_bytes() == longer


def test_a_damaged_note_of_the_version_is_left_aside(server: LocalServer, part: Path) -> None:
    url = server.add("file", BODY)
    for content in (b"[" * 200_000, b"[1]", b'{"etag": 7, "modified": null, "n_bytes": null}', b"\xff"):
        part.write_bytes(BODY[:1000])
        part.with_name(f"{part.name}.version").write_bytes(content)
        assert download(url, part, report=ignore)
        assert part.read_bytes() == BODY
