"""Requests to web servers: which redirects are followed, and which errors are temporary."""

from __future__ import annotations

import email.utils
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any
from urllib.parse import urlsplit

from my_submission.errors import WeightsError
from my_submission.version import __version__

LONGEST_WAIT_SECONDS = 60.0
"""Longest wait that a server may request."""

_BUSY = frozenset(
    {
        http.HTTPStatus.REQUEST_TIMEOUT,
        http.HTTPStatus.TOO_MANY_REQUESTS,
        http.HTTPStatus.BAD_GATEWAY,
        http.HTTPStatus.SERVICE_UNAVAILABLE,
        http.HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Temporary errors; all others are final."""


class BusyError(Exception):
    """The server is busy.

    Attributes:
        wait_seconds: the wait that it requests; None when it does not say.
    """

    def __init__(self, problem: str, wait_seconds: float | None = None) -> None:
        super().__init__(problem)
        self.wait_seconds = wait_seconds


class WebRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https, and from https to https only."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the next request.

        Raises:
            WeightsError: the redirect is not followed.
        """
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in {"http", "https"}:
            raise WeightsError(
                f"the server redirects to {newurl[:200]!r}, which is not a web address", where=req.full_url
            )
        if before == "https" and after == "http":
            problem = f"the server redirects to {newurl[:200]!r}, which, unlike this address, is not encrypted"
            raise WeightsError(problem, where=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def ask(url: str, headers: Mapping[str, str], timeout_seconds: float) -> Any:
    """Return the open response to a request for ``url``.

    Raises:
        urllib.error.HTTPError: the server refuses for good.
        BusyError: the server is busy or silent.
        WeightsError: it cannot be reached, or its redirect is not followed.
    """
    own = {"User-Agent": f"mdx-submission/{__version__}", "Accept-Encoding": "identity"}
    try:
        opener = urllib.request.build_opener(WebRedirects)
        return opener.open(urllib.request.Request(url, headers={**own, **headers}), timeout=timeout_seconds)
    except urllib.error.HTTPError as error:
        if error.code not in _BUSY:
            raise
        with error:
            problem = f"the server answered {error.code} {error.reason}"
            raise BusyError(problem, retry_after(error.headers)) from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: an impossible host or port
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            raise BusyError(f"cannot be reached ({reason})") from error
        raise WeightsError(f"cannot be reached ({reason})", where=url) from error


def retry_after(headers: Message) -> float | None:
    """Return the wait in seconds of a Retry-After header, in seconds or as a date; None without one."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
