"""One address into one file, taking up again where an earlier attempt stopped.

The standard library does it: pooch streams into a fresh temporary file and asks for no ranges, so it cannot resume a
gigabyte that broke off; requests decodes compressed bodies by itself, which spoils the byte count that resuming rests
on.
"""

from __future__ import annotations

import http.client
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from my_submission.errors import OutputError, WeightsError
from my_submission.version import __version__
from my_submission.weights.manifest import is_url

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT_SECONDS = 30.0
"""How long a server may stay silent, while connecting as well as in the middle of a body."""

_BLOCK_BYTES = 1 << 18
_MAX_INTERRUPTIONS = 5
"""How often a body may break off in one call; only attempts that brought something are repeated."""

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


@dataclass(frozen=True)
class FetchProgress:
    """How far the fetching of an artefact has come.

    Attributes:
        name: the artefact, or the first of those that an archive is fetched for.
        source: the address or file it comes from.
        done_bytes: bytes there, including those of an earlier attempt.
        total_bytes: bytes expected; None when the server does not say.
    """

    name: str
    source: str
    done_bytes: int
    total_bytes: int | None


Report = Callable[[int, int | None], None]
"""Called with the bytes there and the bytes expected."""


class _InterruptedError(Exception):
    """A body ended early."""


def download(
    url: str,
    part: Path,
    *,
    report: Report,
    expected_bytes: int | None = None,
    may_resume: bool = True,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> bool:
    """Download ``url`` into ``part``, which is complete when this returns; what is in it stays when this raises.

    Args:
        url: an http or https address.
        part: the file to grow; an earlier part of the same address is taken up if the server can do so.
        report: told of progress.
        expected_bytes: the size the file must have, if known; a server that offers another is refused at once.
        may_resume: False starts afresh, for content that no hash will check.
        timeout_seconds: longest silence of the server.

    Returns:
        Whether the file was put together from more than one answer of the server.

    Raises:
        WeightsError: the address does not answer, refuses, offers another size, or keeps breaking off.
        OutputError: ``part`` cannot be written.
    """
    if not is_url(url):
        raise WeightsError("is not an http or https address", where=url)
    if not may_resume:
        part.unlink(missing_ok=True)
    interruptions = 0
    while True:
        before = _size(part)
        try:
            return _transfer(url, part, report, expected_bytes, timeout_seconds) > 0
        except _InterruptedError as error:
            interruptions += 1
            if _size(part) <= before or interruptions == _MAX_INTERRUPTIONS:
                cure = "run the command again" + (": it goes on from there" if may_resume else "")
                raise WeightsError(str(error), where=url, cure=cure) from error
            logger.info("%s: %s; going on from there", url, error)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(url: str, part: Path, report: Report, expected_bytes: int | None, timeout_seconds: float) -> int:
    """One request, or a second one when ``part`` turns out to be of no use; returns how much of ``part`` was kept."""
    offset = _size(part)
    try:
        response = _request(url, offset, timeout_seconds)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not offset:
                raise WeightsError(f"the server answered {error.code} {error.reason}", where=url) from error
            total = _range_of(error.headers, error.code)[1]
        if total == offset:  # all of it was there already
            report(offset, total)
            return offset
        part.unlink()
        return _transfer(url, part, report, expected_bytes, timeout_seconds)
    with response:
        start, total = _range_of(response.headers, response.status)
        if start is None or start not in (0, offset):
            if not offset:
                raise WeightsError("the server sends a part of the file where all was asked for", where=url)
            part.unlink()
            return _transfer(url, part, report, expected_bytes, timeout_seconds)
        if total is not None and expected_bytes is not None and total != expected_bytes:
            raise WeightsError(f"the server offers {total} bytes where {expected_bytes} are expected", where=url)
        done = _append(response, part, start, total, report)
    if total is not None and done < total:
        raise _InterruptedError(f"the connection ended after {done} of {total} bytes")
    return start


def _request(url: str, offset: int, timeout_seconds: float) -> Any:
    headers = {"User-Agent": f"mdx-submission/{__version__}", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout_seconds)
    except urllib.error.HTTPError:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: a host or port that cannot be
        raise WeightsError(f"cannot be reached ({getattr(error, 'reason', None) or error})", where=url) from error


def _range_of(headers: Message, status: int) -> tuple[int | None, int | None]:
    """Where the body begins in the file, and the size of the file; None where the server does not say."""
    if status == http.HTTPStatus.OK:
        length = headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if match is None:
        return None, None
    start, total = match.groups()
    return int(start) if start else None, int(total) if total.isdecimal() else None


def _append(response: IO[bytes], part: Path, start: int, total: int | None, report: Report) -> int:
    """Write the body behind the first ``start`` bytes of ``part``; returns the bytes there."""
    try:
        with part.open("ab" if start else "wb") as out:
            done = start
            report(done, total)
            while block := _read(response):
                out.write(block)
                done += len(block)
                report(done, total)
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror})", where=part, cure="make room or name another folder"
        ) from error
    return done


def _read(response: IO[bytes]) -> bytes:
    try:
        return response.read(_BLOCK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(f"the connection broke ({error})") from error
