"""What stands before every address of the page: who may ask, and what browsers are told to keep to.

It knows nothing of the page itself: an ASGI application around another one. A request is heard when it asks for this
server by a name that is this server's. A name that is not belongs to a page of somebody else, whose name was made to
point here (DNS rebinding), and which would read everything as its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from my_submission.webapp.hosts import HostRule, parse_host

MAX_NAMES_LOGGED = 20
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

logger = logging.getLogger(__name__)


class Guard:
    """Hears requests for this server alone, and puts headers on every answer, those to refused requests as well.

    Args:
        app: the application behind it.
        rule: which names are this server's.
        headers: names and values that every answer gets, in place of the application's own.
        closed: paths, each with everything below it, that the application has and nobody here needs.
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
        """The answer to a request that is not heard; None for one that is."""
        headers = Headers(scope=scope)
        stated = headers.getlist("host")
        host = parse_host(stated[0]) if len(stated) == 1 else None
        if host is None or not self._rule.is_ours(host):
            self._log(stated)
            return PlainTextResponse(
                "This server does not go by that name. Whoever runs it can add one with --allow-host.", 403
            )
        sends = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if sends and not all(self._rule.may_ask(origin, host) for origin in headers.getlist("origin")):
            return PlainTextResponse("Pages of other servers may not ask this one.", 403)
        if any(scope["path"] == path or scope["path"].startswith(f"{path}/") for path in self._closed):
            return PlainTextResponse("There is no such address.", 404)
        return None

    def _with_own_origin(self, scope: Scope) -> Scope:
        """A web socket's request as one of this server's own pages would make it.

        Its origin has been judged. An application that judged once more by other rules might refuse a proxy's name.
        """
        headers = Headers(scope=scope)
        if scope["type"] != "websocket" or "origin" not in headers:
            return scope
        own = f"http://{headers['host']}".encode("latin-1")
        return {**scope, "headers": [(name, own if name == b"origin" else value) for name, value in scope["headers"]]}

    def _log(self, stated: list[str]) -> None:
        """Tell whoever runs the server what was refused, once a name and not without end."""
        name = ", ".join(stated)[:100]
        if name not in self._logged and len(self._logged) < MAX_NAMES_LOGGED:
            self._logged.add(name)
            logger.warning("refused a request for the host %a; --allow-host adds a name", name)
