"""ASGI middleware that checks the Host and Origin of every request and adds security headers to every response.

A request must name this server by one of its own host names. Any other name may belong to another site whose DNS entry
was changed to this server's address (DNS rebinding), and whose pages could then read every response.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from my_submission.webapp.serving.hosts import HostRule, parse_host

MAX_NAMES_LOGGED = 20
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

logger = logging.getLogger(__name__)


class Guard:
    """Refuses requests for other hosts or from other origins, and sets headers on every response.

    Args:
        rule: the server's host names.
        headers: headers of every response; they replace the application's own.
        closed: paths of the application, with everything below them, that answer 404.
    """

    def __init__(self, app: ASGIApp, rule: HostRule, *, headers: Mapping[str, str], closed: Iterable[str] = ()) -> None:
        self._app, self._rule, self._headers, self._closed = app, rule, dict(headers), tuple(closed)
        self._logged: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(self._with_own_origin(scope), receive, send_with_headers)
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await refusal(scope, receive, send_with_headers)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the response to a refused request, or None."""
        headers = Headers(scope=scope)
        stated = headers.getlist("host")
        host = parse_host(stated[0]) if len(stated) == 1 else None
        if host is None or not self._rule.accepts_host(host):
            self._log(stated)
            return PlainTextResponse("Unknown host name. The server's owner can add it with --allow-host.", 403)
        sends = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if sends and not all(self._rule.accepts_origin(origin, host) for origin in headers.getlist("origin")):
            return PlainTextResponse("Requests from pages of other servers are refused.", 403)
        if any(scope["path"] == path or scope["path"].startswith(f"{path}/") for path in self._closed):
            return PlainTextResponse("There is no such page.", 404)
        return None

    def _with_own_origin(self, scope: Scope) -> Scope:
        """Return a web socket request with this server as origin.

        The origin was checked already; the application's own check might refuse the name of a proxy.
        """
        headers = Headers(scope=scope)
        if scope["type"] != "websocket" or "origin" not in headers:
            return scope
        own = f"http://{headers['host']}".encode("latin-1")
        return {**scope, "headers": [(name, own if name == b"origin" else value) for name, value in scope["headers"]]}

    def _log(self, stated: list[str]) -> None:
        """Log a refused host once, for a limited number of hosts."""
        name = ", ".join(stated)[:100]
        if name not in self._logged and len(self._logged) < MAX_NAMES_LOGGED:
            self._logged.add(name)
            logger.warning("refused a request for the host %a; --allow-host adds a name", name)
