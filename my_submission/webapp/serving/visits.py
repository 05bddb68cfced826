"""Visits: a secret token in a cookie of the browser, set with every HTML page."""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from my_submission.webapp.tokens import TOKEN_BYTES, new_token

VISIT_COOKIE = "mdx_visit"
VISIT_SECONDS = 86_400
"""Lifetime of the cookie after the last page load, unless songs are kept longer."""

_TOKEN = re.compile(f"[0-9a-f]{{{2 * TOKEN_BYTES}}}")


def is_visit(token: str) -> bool:
    """Return whether a text has the form of a visit's token."""
    return _TOKEN.fullmatch(token) is not None


class VisitCookies:
    """ASGI middleware that gives every browser a visit, and renews it with every HTML page.

    Scripts cannot read the cookie, and browsers do not send it with requests from other sites. A page opened by
    a link on another site is therefore requested without it; the page's next request sets the visit, unless it sends
    one. The server stores nothing for it.

    Args:
        base_path: prefix of all paths, such as ``/mdx``; empty for none.
        seconds: lifetime of the cookie after the last page load.
    """

    def __init__(self, app: ASGIApp, *, base_path: str = "", seconds: float = VISIT_SECONDS) -> None:
        self._app, self._path, self._seconds = app, base_path or "/", round(seconds)
        self._health = f"{base_path}/_stcore/health"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope)
        stated = cookie_parser(asked.get("cookie", "")).get(VISIT_COOKIE, "")  # tolerates malformed cookies of others
        is_known = is_visit(stated)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_page = headers.get("content-type", "").startswith("text/html") and message["status"] == 200
                is_from_elsewhere = asked.get("sec-fetch-site") == "cross-site"
                if (is_page and is_known) or (
                    not is_known and not is_from_elsewhere and (is_page or scope["path"] == self._health)
                ):
                    token = stated if is_known else new_token()
                    headers.append("Set-Cookie", self._cookie(token, is_secure=scope.get("scheme") == "https"))
            await send(message)

        await self._app(scope, receive, send_with_cookie)

    def _cookie(self, token: str, *, is_secure: bool) -> str:
        secure = "; Secure" if is_secure else ""
        rules = f"Max-Age={self._seconds}; Path={self._path}; HttpOnly; SameSite=Strict{secure}"
        return f"{VISIT_COOKIE}={token}; {rules}"
