"""The route for uploads: a form with one file, written to disk as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

import anyio.to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from my_submission.errors import MdxError
from my_submission.webapp.serving.uploads import Upload, UploadRefusedError, UploadStore

WRITE_BYTES = 1 << 20
MAX_NAME_LETTERS = 255
MAX_DIGITS = 15
MAX_IDLE_SECONDS = 30.0
MIN_BYTES_PER_SECOND = 1 << 15
"""Slower uploads are refused, because they occupy space that others wait for."""


class UploadRoute:
    """Handles ``PUT <prefix>/<visitor>/<file id>`` and passes all other requests on.

    Args:
        prefix: path before the visitor's id.
        refusal: returns the response to a refused upload, or None.
        on_complete: called in a thread with the visitor and the file's id before a complete upload is answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        store: UploadStore,
        *,
        prefix: str,
        refusal: Callable[[Request, str], Response | None],
        on_complete: Callable[[str, str], None],
    ) -> None:
        self._app, self._store, self._prefix, self._refusal = app, store, f"{prefix}/", refusal
        self._on_complete = on_complete

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        is_upload = scope["type"] == "http" and scope["method"] == "PUT" and scope["path"].startswith(self._prefix)
        if not is_upload:
            await self._app(scope, receive, send)
            return
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path: str = request.scope["path"]
        visitor, _, file_id = path.removeprefix(self._prefix).partition("/")
        if not visitor or not file_id or "/" in file_id:
            return PlainTextResponse("There is no such page.", 404)
        refusal = self._refusal(request, visitor)
        if refusal is not None:
            return refusal
        problem, status = "", HTTPStatus.NO_CONTENT
        try:
            await self._take(request, visitor, file_id)
        except UploadRefusedError as error:
            problem, status = str(error), error.status
        except MdxError as error:
            problem, status = str(error), HTTPStatus.INSUFFICIENT_STORAGE
        except TimeoutError:
            problem, status = "The upload took too long.", HTTPStatus.REQUEST_TIMEOUT
        except FormParserError:
            problem, status = "The request is not a form with one file.", HTTPStatus.BAD_REQUEST
        return PlainTextResponse(problem, status) if problem else Response(status_code=status)

    async def _take(self, request: Request, visitor: str, file_id: str) -> None:
        stated = request.headers.get("content-length", "")
        if not (stated.isascii() and stated.isdigit() and len(stated) <= MAX_DIGITS):
            problem = "the upload has no Content-Length"
            raise UploadRefusedError(problem, status=HTTPStatus.LENGTH_REQUIRED, hint="send the header")
        upload = self._store.announce(visitor, file_id, int(stated))
        try:
            await _receive(request, upload, max_seconds=60 + int(stated) / MIN_BYTES_PER_SECOND)
        except BaseException:
            upload.release()
            raise
        await anyio.to_thread.run_sync(self._on_complete, visitor, file_id)


async def _receive(request: Request, upload: Upload, *, max_seconds: float) -> None:
    """Write the file of a form into an upload.

    Raises:
        FormParserError: the body is not a form with one file.
        TimeoutError: the upload was too slow.
        MdxError: as for :meth:`Upload.write`.
    """
    form = _FileForm(request.headers.get("content-type", ""))
    async with asyncio.timeout(max_seconds):
        async for block in _blocks(request):
            form.feed(block)
            if len(form.waiting) >= WRITE_BYTES:
                await anyio.to_thread.run_sync(upload.write, form.take())
    form.finish()
    await anyio.to_thread.run_sync(upload.write, form.take())
    upload.complete(form.name, form.content_type)


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body of a request as it arrives."""
    stream = request.stream()
    while True:
        async with asyncio.timeout(MAX_IDLE_SECONDS):
            block = await anext(stream, None)
        if block is None:
            return
        yield block


class _FileForm:
    """Parser of ``multipart/form-data`` with one file, fed block by block."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise FormParserError("no form")
        self.name = self.content_type = ""
        self.waiting = bytearray()
        self._n_files = 0
        self._is_file = self._is_at_end = False
        self._header_name = self._header_value = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_header_name,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_part_data": self._on_data,
                "on_end": self._on_end,
            },
        )

    def feed(self, block: bytes) -> None:
        """Parse a block; the file's content is appended to ``waiting``."""
        self._parser.write(block)

    def take(self) -> bytes:
        """Return and clear the content in ``waiting``."""
        taken = bytes(self.waiting)
        self.waiting.clear()
        return taken

    def finish(self) -> None:
        """Raise FormParserError unless the form is complete and had exactly one file."""
        self._parser.finalize()
        if self._n_files != 1 or not self._is_at_end:
            raise FormParserError("no form with one file")

    def _begin(self) -> None:
        self._is_file = False

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        name, value = self._header_name.lower(), self._header_value
        self._header_name = self._header_value = b""
        if name == b"content-type":
            self.content_type = value.decode("latin-1")[:MAX_NAME_LETTERS]
        if name != b"content-disposition":
            return
        _, options = parse_options_header(value)
        if b"filename" in options:
            self._is_file = True
            self._n_files += 1
            if self._n_files > 1:
                raise FormParserError("more than one file")
            self.name = options[b"filename"].decode("utf-8", "replace")[-MAX_NAME_LETTERS:]

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.waiting += data[start:end]

    def _on_end(self) -> None:
        self._is_at_end = True
