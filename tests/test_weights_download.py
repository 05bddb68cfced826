"""A download ends with exactly the served bytes, however often it breaks off, or with an error naming the address."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from my_submission.errors import OutputError, WeightsError
from my_submission.weights import download as download_module
from my_submission.weights.download import download
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
    with pytest.raises(WeightsError, match="a part of the file where all was asked for"):
        download(url, part, report=ignore)
    assert not part.exists()


def test_a_body_that_breaks_off_is_continued(server: LocalServer, part: Path) -> None:
    url = server.add("file", Page(BODY, cut_after=400_000, n_cuts=2))
    assert download(url, part, report=ignore)
    assert part.read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [None, "bytes=400000-", "bytes=800000-"]


def test_a_body_that_always_breaks_off_without_progress_is_an_error(server: LocalServer, part: Path) -> None:
    url = server.add("file", Page(BODY, has_ranges=False, cut_after=1000))
    with pytest.raises(WeightsError, match=rf"{url}: the connection ended after 1000 of {len(BODY)} bytes.*goes on"):
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


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_an_http_error_names_the_address_and_the_answer(server: LocalServer, part: Path, status: int) -> None:
    url = server.add("file", Page(b"sorry", status=status))
    with pytest.raises(WeightsError, match=f"{url}: the server answered {status}"):
        download(url, part, report=ignore)
    assert not part.exists()


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
            download(url, part, report=ignore, timeout_seconds=0.05)


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
    with pytest.raises(OutputError, match=r"No space left on device.*Make room"):
        download(url, Path("/dev/full"), report=ignore)
