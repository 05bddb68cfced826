"""Download of one address into one file, resuming an earlier attempt.

It uses the standard library because pooch downloads into a new temporary file without range requests and so cannot
resume, and requests decodes compressed bodies, which makes the byte count for resuming wrong.
"""

from __future__ import annotations

import http.client
import json
import logging
import re
import time
import urllib.error
from collections.abc import Callable
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from typing import IO

from my_submission.documents import convert
from my_submission.errors import OutputError, WeightsError
from my_submission.weights.http_answers import LONGEST_WAIT_SECONDS, BusyError, ask
from my_submission.weights.manifest import is_url
from terminal.documents import DocumentError, read_json

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT_SECONDS = 30.0
"""Longest wait for a server, while connecting and within a body."""

MAX_BODY_BYTES = 4 << 30
"""Limit if no size is known; the largest published file of weights has 1.1 GB."""

WAITS_SECONDS = (1.0, 2.0, 4.0)
"""Waits before further attempts, if a server is busy or silent and names no time."""

_BLOCK_BYTES = 1 << 18
_MAX_INTERRUPTIONS = 5
"""Largest number of interrupted responses per call; only attempts that received something are repeated."""

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d+|\*)/(\d{1,18}|\*)")


@dataclass(frozen=True)
class FetchProgress:
    """Progress of fetching an artefact.

    Attributes:
        name: the artefact, or the first artefact of an archive.
        source: its address or file.
        done_bytes: bytes received, including those of an earlier attempt.
        total_bytes: bytes expected; None when the server does not say.
    """

    name: str
    source: str
    done_bytes: int
    total_bytes: int | None


Report = Callable[[int, int | None], None]
"""Called with the bytes received and the bytes expected."""


@dataclass(frozen=True)
class _Version:
    """Version of a file on a server, which an incomplete download must match to be resumed."""

    etag: str | None
    modified: str | None
    n_bytes: int | None

    def differs_from(self, other: _Version) -> bool:
        """Whether both state a value of the same kind, and different ones."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified), (self.n_bytes, other.n_bytes))
        return any(mine is not None and theirs is not None and mine != theirs for mine, theirs in pairs)


@dataclass(frozen=True)
class _Transfer:
    """Parameters of all requests of one download."""

    url: str
    part: Path
    report: Report
    expected_bytes: int | None
    max_bytes: int
    timeout_seconds: float

    @property
    def note(self) -> Path:
        """File with the version that ``part`` belongs to."""
        return self.part.with_name(f"{self.part.name}.version")

    def restart(self) -> None:
        """Remove the incomplete file."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


class _InterruptedError(Exception):
    """A body ended early."""


def download(
    url: str,
    part: Path,
    *,
    report: Report,
    expected_bytes: int | None = None,
    max_bytes: int = MAX_BODY_BYTES,
    may_resume: bool = True,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Download ``url`` into ``part``; after an error the incomplete file stays, to be resumed.

    A server that is busy (429, 502, 503, 504) or silent is asked again, after the time it requests or some seconds.

    Args:
        url: an http or https address.
        part: destination; an incomplete file of the same address is resumed if the server supports that and still has
            the same version.
        report: called with the progress.
        expected_bytes: size of the file, if known; another size is refused at once.
        max_bytes: limit for a file of unknown size.
        may_resume: False starts again, for content that no hash will verify.
        timeout_seconds: longest wait for the server.
        sleep: waits for some seconds.

    Returns:
        Whether the file consists of more than one response.

    Raises:
        WeightsError: the address does not answer, refuses, offers another size, sends more, or keeps breaking off.
        OutputError: ``part`` cannot be written.
    """
    if not is_url(url):
        raise WeightsError("is not an http or https address", where=url)
    transfer = _Transfer(url, part, report, expected_bytes, expected_bytes or max_bytes, timeout_seconds)
    if not may_resume or _size(part) > transfer.max_bytes:
        transfer.restart()
    hint = "run the command again" + (": it resumes the download" if may_resume else "")
    interruptions, waits = 0, list(WAITS_SECONDS)
    while True:
        before = _size(part)
        try:
            is_spliced = _transfer(transfer) > 0
        except BusyError as error:
            _wait(error, waits, url, sleep)
        except _InterruptedError as error:
            interruptions += 1
            if _size(part) <= before or interruptions == _MAX_INTERRUPTIONS:
                raise WeightsError(str(error), where=url, hint=hint) from error
            logger.info("%s: %s; resuming", url, error)
        else:
            transfer.note.unlink(missing_ok=True)
            return is_spliced


def _wait(error: BusyError, waits: list[float], url: str, sleep: Callable[[float], None]) -> None:
    """Wait before another attempt; WeightsError after the last attempt, or if the server requests too long a wait."""
    seconds = error.wait_seconds
    if not waits or (seconds or 0.0) > LONGEST_WAIT_SECONDS:
        asked = f", and requests a wait of {seconds:.0f} s" if seconds else ""
        raise WeightsError(f"{error}{asked}", where=url, hint="try again later") from error
    default = waits.pop(0)
    seconds = default if seconds is None else seconds
    logger.info("%s: %s; another attempt in %g s", url, error, seconds)
    sleep(seconds)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(transfer: _Transfer) -> int:
    """Make one request, or two when ``part`` cannot be resumed; return how many bytes of ``part`` were kept."""
    url, part = transfer.url, transfer.part
    offset = _size(part)
    noted = _noted(transfer.note) if offset else None
    try:
        response = ask(url, _range_headers(offset, noted), transfer.timeout_seconds)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not offset:
                raise WeightsError(f"the server answered {error.code} {error.reason}", where=url) from error
            version = _version_of(error.headers, error.code)
        if version.n_bytes == offset and not (noted and noted.differs_from(version)):  # the file was complete
            transfer.report(offset, offset)
            return offset
        transfer.restart()
        return _transfer(transfer)
    with response:
        start, version = _start_of(response.headers, response.status), _version_of(response.headers, response.status)
        if start is None or start not in (0, offset) or (start and noted and noted.differs_from(version)):
            if not offset:
                raise WeightsError("the server sends only a part of the file", where=url)
            transfer.restart()
            return _transfer(transfer)
        _refuse_size(transfer, version.n_bytes)
        if not start:
            _write_note(transfer.note, version)
        done = _append(transfer, response, start, version.n_bytes)
    if version.n_bytes is not None and done < version.n_bytes:
        raise _InterruptedError(f"the connection ended after {done} of {version.n_bytes} bytes")
    return start


def _range_headers(offset: int, noted: _Version | None) -> dict[str, str]:
    if not offset:
        return {}
    validator = None
    if noted is not None:
        is_strong = noted.etag is not None and not noted.etag.startswith("W/")
        validator = noted.etag if is_strong else noted.modified
    return {"Range": f"bytes={offset}-", **({"If-Range": validator} if validator else {})}


def _refuse_size(transfer: _Transfer, n_bytes: int | None) -> None:
    if n_bytes is None or n_bytes == transfer.expected_bytes:
        return
    if transfer.expected_bytes is not None:
        problem = f"the server offers {n_bytes} bytes where {transfer.expected_bytes} are expected"
        raise WeightsError(problem, where=transfer.url)
    if n_bytes > transfer.max_bytes:
        raise WeightsError(f"the server offers {n_bytes} bytes, more than any weights have", where=transfer.url)


def _start_of(headers: Message, status: int) -> int | None:
    """Return the offset of the body in the file; None if the server does not say."""
    if status == http.HTTPStatus.OK:
        return 0
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    return int(match.group(1)) if match is not None and match.group(1) else None


def _version_of(headers: Message, status: int) -> _Version:
    """Return the version of the whole file by the response."""
    length = headers.get("Content-Length", "") if status == http.HTTPStatus.OK else ""
    if status != http.HTTPStatus.OK and (match := _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())):
        length = match.group(2)
    n_bytes = int(length) if length.isdecimal() and len(length) <= 18 else None
    return _Version(headers.get("ETag"), headers.get("Last-Modified"), n_bytes)


def _noted(note: Path) -> _Version | None:
    """Return the version noted beside an incomplete file; None if there is none or it cannot be read."""
    try:
        version = convert(_Version, read_json(note, max_bytes=_BLOCK_BYTES))
    except (OSError, DocumentError):
        return None
    return version if all((text or "").isprintable() for text in (version.etag, version.modified)) else None


def _write_note(note: Path, version: _Version) -> None:
    try:
        note.write_text(json.dumps(asdict(version)), encoding="utf-8")
    except OSError as error:
        logger.info("%s: cannot be written (%s); a later call may start again", note, error.strerror)


def _append(transfer: _Transfer, response: IO[bytes], start: int, total: int | None) -> int:
    """Write the body after the first ``start`` bytes of ``part``; return the bytes there."""
    try:
        with transfer.part.open("ab" if start else "wb") as out:
            done = start
            transfer.report(done, total)
            while block := _read(response):
                if done + len(block) > transfer.max_bytes:
                    out.truncate(0)
                    kind = "expected" if transfer.expected_bytes else "that weights may have"
                    problem = (
                        f"the server sends more than the {transfer.max_bytes} bytes {kind}; the download was stopped"
                    )
                    raise WeightsError(problem, where=transfer.url)
                out.write(block)
                done += len(block)
                transfer.report(done, total)
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror})", where=transfer.part, hint="free some space, or name another folder"
        ) from error
    return done


def _read(response: IO[bytes]) -> bytes:
    try:
        return response.read(_BLOCK_BYTES)
    except TimeoutError as error:
        raise BusyError(f"the server stopped responding ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(f"the connection broke ({error})") from error
