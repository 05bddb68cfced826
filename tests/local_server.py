"""A web server on this machine that serves files well and badly, for tests of downloads."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What one address answers.

    Attributes:
        body: the whole file.
        status: 200, or an error.
        has_ranges: whether a Range header is honoured.
        cut_after: bytes of a body after which the connection is dropped, for the first ``n_cuts`` answers.
        n_cuts: how many answers are cut.
        is_chunked: no length is stated.
        forced_range: a Content-Range to state with status 206, whatever was asked.
        headers: further headers.
        n_refusals: how many answers have ``status``; the ones after them are 200.
        is_endless: the body begins anew for ever, without a length.
    """

    body: bytes = b""
    status: int = 200
    has_ranges: bool = True
    cut_after: int | None = None
    n_cuts: int = 10**9
    is_chunked: bool = False
    forced_range: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    n_refusals: int = 10**9
    is_endless: bool = False


@dataclass
class LocalServer:
    """A running server: set ``pages``, read ``requests`` as (path, Range header) and ``conditions`` as If-Range."""

    address: str
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    conditions: list[str | None] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"

    def add(self, path: str, page: Page | bytes) -> str:
        self.pages[f"/{path}"] = page if isinstance(page, Page) else Page(page)
        return self.url(path)


class _Handler(BaseHTTPRequestHandler):
    local: LocalServer

    def do_GET(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that has seen enough hangs up
            self._serve()

    def _serve(self) -> None:
        asked = self.headers.get("Range")
        self.local.requests.append((self.path, asked))
        condition = self.headers.get("If-Range")
        self.local.conditions.append(condition)
        page = self.local.pages.get(self.path, Page(b"nothing here", status=404))
        if page.status != 200 and page.n_refusals == 0:
            page.status = 200
        page.n_refusals -= page.status != 200
        if condition is not None and condition not in page.headers.values():
            asked = None
        start, status, stated = 0, page.status, None
        if page.forced_range is not None:
            status, stated = 206, page.forced_range
        elif asked and page.has_ranges and page.status == 200:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked).group(1))  # type: ignore[union-attr]
            if start >= len(page.body):
                self._answer(416, f"bytes */{len(page.body)}", b"", page)
                return
            status, stated = 206, f"bytes {start}-{len(page.body) - 1}/{len(page.body)}"
        self._answer(status, stated, page.body[start:], page)

    def _answer(self, status: int, stated_range: str | None, body: bytes, page: Page) -> None:
        self.send_response(status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if stated_range is not None:
            self.send_header("Content-Range", stated_range)
        is_chunked = page.is_chunked or page.is_endless
        self.send_header(*(("Transfer-Encoding", "chunked") if is_chunked else ("Content-Length", str(len(body)))))
        self.end_headers()
        sent = body
        if page.cut_after is not None and page.n_cuts > 0:
            page.n_cuts -= 1
            sent = body[: page.cut_after]
            self.close_connection = True
        while page.is_endless:
            self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        if page.is_chunked:
            self.wfile.write(f"{len(sent):x}\r\n".encode() + sent + b"\r\n")
            if len(sent) == len(body):
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_server() -> Iterator[LocalServer]:
    """A server on a free port of this machine, gone when the block ends."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        local = LocalServer(f"http://127.0.0.1:{server.server_address[1]}")
        handler.local = local  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield local
        finally:
            server.shutdown()
            thread.join()
