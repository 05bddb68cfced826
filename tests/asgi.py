"""ASGI applications asked without a server or a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

App = Callable[[Any, Any, Any], Any]


@dataclass
class Answer:
    """What an application answered; status 0 where it answered nothing."""

    status: int
    headers: dict[str, str]
    body: bytes


def scope_of(kind: str, method: str, path: str, headers: Iterable[tuple[str, str]], **more: Any) -> dict[str, Any]:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": kind, "path": path, "query_string": b"", "headers": raw, "root_path": "", **more}
    return scope if kind == "websocket" else {**scope, "method": method, "http_version": "1.1", "scheme": "http"}


def ask(
    app: App,
    path: str = "/",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (("host", "localhost"),),
    body: Iterable[bytes] = (b"",),
    end: Literal["whole", "cut", "silence"] = "whole",
    kind: str = "http",
    **scope: Any,
) -> Answer:
    """One request.

    Args:
        body: comes in these blocks.
        end: after them the body is whole, the connection is cut, or nothing more comes.
    """
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    blocks = list(body)
    incoming: list[dict[str, Any]] = [
        {"type": "http.request", "body": block, "more_body": end != "whole" or index < len(blocks) - 1}
        for index, block in enumerate(blocks)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if end == "silence" and not incoming:
            await asyncio.Event().wait()
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope_of(kind, method, path, pairs, **scope), receive, send))
    status, found = 0, {}
    for message in sent:
        if message["type"].endswith("http.response.start"):
            status = message["status"]
            found = {name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]}
    return Answer(status, found, b"".join(message.get("body", b"") for message in sent))
