"""Who may ask the page, by which names, and what every answer carries."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from my_submission.webapp.serving.guard import MAX_NAMES_LOGGED, Guard
from my_submission.webapp.serving.hosts import Host, HostRule, is_host_name, parse_host
from tests.asgi import Answer, ask

LOCAL = HostRule.listening("127.0.0.1")
HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN"}


class Behind:
    """An application that notes what reaches it."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept", "headers": []})
        else:
            await PlainTextResponse("here", headers={"x-frame-options": "ALLOWALL"})(scope, receive, send)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("localhost", Host("localhost")),
        ("LocalHost.:8501", Host("localhost", 8501)),
        ("127.0.0.1:80", Host("127.0.0.1", 80)),
        ("[::1]:8501", Host("::1", 8501)),
        ("[0:0::1]", Host("::1")),
        ("a-b.example.org", Host("a-b.example.org")),
        *[
            (bad, None)
            for bad in (
                "",
                ":80",
                "::1",
                "[::1",
                "[127.0.0.1]",
                "[::1]8501",
                "localhost:",
                "localhost:x",
                "localhost:65536",
                "localhost:８０",
                "localhost/evil.example",
                "localhost@evil.example",
                "evil.example#localhost",
                "localhost, evil.example",
                "a..b",
                "-a",
                "bücher.example",
                "a" * 300,
            )
        ],
    ],
)
def test_a_host_is_read_as_browsers_state_it(text: str, host: Host | None) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    ("address", "allowed", "ours", "others"),
    [
        ("127.0.0.1", (), ("localhost", "127.0.0.1:8501", "[::1]"), ("evil.example", "192.168.1.5", "0.0.0.0", "")),
        ("192.168.1.5", (), ("192.168.1.5", "localhost"), ("192.168.1.6", "evil.example")),
        ("box.lan", (), ("BOX.lan:8501", "127.0.0.1"), ("box", "evil.box.lan")),
        ("0.0.0.0", (), ("192.168.1.5", "[fe80::1]", socket.gethostname()), ("evil.example", "127.0.0.1.evil.example")),
        ("::", ("Demo.Example.org",), ("demo.example.org", "10.0.0.1"), ("example.org", "x.demo.example.org")),
        ("127.0.0.1", ("10.1.1.1", "2001:DB8::1"), ("10.1.1.1", "[2001:db8:0::1]"), ("10.1.1.2",)),
    ],
)
def test_a_server_goes_by_its_own_names(
    address: str, allowed: tuple[str, ...], ours: tuple[str, ...], others: tuple[str, ...]
) -> None:
    rule = HostRule.listening(address, allowed=allowed)
    assert [name for name in ours if not rule.accepts_host(parse_host(name))] == []
    assert [name for name in others if rule.accepts_host(parse_host(name))] == []


@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        ("http://localhost:8501", "localhost:8501", True),
        ("https://localhost", "localhost:443", True),
        ("http://localhost", "localhost", True),
        ("https://demo.example.org", "127.0.0.1:8501", True),  # allowed: a proxy renames what it passes on
        ("http://localhost:3000", "localhost:8501", False),
        ("http://127.0.0.1:8501", "localhost:8501", False),
        ("http://evil.example:8501", "localhost:8501", False),
        ("https://demo.example.org.evil.example", "127.0.0.1:8501", False),
        ("null", "localhost:8501", False),
        ("", "localhost:8501", False),
        ("file://", "localhost:8501", False),
        ("http://[::1", "localhost:8501", False),
    ],
)
def test_pages_of_this_server_alone_may_speak_to_it(origin: str, host: str, may: bool) -> None:
    rule = HostRule.listening("127.0.0.1", allowed=["demo.example.org"])
    found = parse_host(host)
    assert found is not None
    assert rule.accepts_origin(origin, found) is may


def guarded(**request: Any) -> tuple[Answer, Behind]:
    behind = Behind()
    rule = HostRule.listening("127.0.0.1", allowed=["demo.example.org"])
    return ask(Guard(behind, rule, headers=HEADERS, closed=["/_stcore/metrics"]), **request), behind


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({}, 200),
        ({"headers": {"host": "evil.example"}}, 403),
        ({"headers": {}}, 403),
        ({"headers": [("host", "localhost"), ("host", "evil.example")]}, 403),
        ({"path": "/_stcore/metrics"}, 404),
        ({"path": "/_stcore/metrics/more"}, 404),
        ({"path": "/_stcore/metrics-of-mine"}, 200),
        ({"method": "PUT", "headers": {"host": "localhost", "origin": "http://evil.example"}}, 403),
        ({"method": "PUT", "headers": {"host": "localhost", "origin": "http://localhost"}}, 200),
        ({"method": "GET", "headers": {"host": "localhost", "origin": "http://evil.example"}}, 200),
    ],
)
def test_strangers_are_refused_and_every_answer_has_its_headers(request_: dict[str, Any], status: int) -> None:
    answer, behind = guarded(**request_)
    assert answer.status == status
    assert len(behind.scopes) == (status == 200)
    assert (answer.headers["x-content-type-options"], answer.headers["x-frame-options"]) == ("nosniff", "SAMEORIGIN")


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        ({"host": "localhost:8501"}, True),
        ({"host": "localhost:8501", "origin": "http://localhost:8501"}, True),
        ({"host": "127.0.0.1:8501", "origin": "https://demo.example.org"}, True),
        ({"host": "localhost:8501", "origin": "http://localhost:3000"}, False),
        ({"host": "localhost:8501", "origin": "null"}, False),
        ({"host": "evil.example", "origin": "http://evil.example"}, False),
    ],
)
@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
def test_web_sockets_open_for_pages_of_this_server(
    headers: dict[str, str], is_let_in: bool, extensions: dict[str, Any]
) -> None:
    answer, behind = guarded(kind="websocket", headers=headers, extensions=extensions)
    assert len(behind.scopes) == is_let_in
    assert answer.status == (403 if extensions and not is_let_in else 0)
    if is_let_in and "origin" in headers:
        passed_on = dict(behind.scopes[0]["headers"])
        assert passed_on[b"origin"].decode() == f"http://{headers['host']}"


def test_what_was_refused_is_logged_once_and_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(Behind(), LOCAL, headers=HEADERS)
    for index in range(3 * MAX_NAMES_LOGGED):
        for _ in range(2):
            ask(guard, headers={"host": f"evil{index}.example\u009b"})
    assert len(caplog.messages) == MAX_NAMES_LOGGED
    assert "--allow-host" in caplog.messages[0]
    assert all(message.isprintable() for message in caplog.messages)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("demo.example.org", True), ("10.0.0.1", True), ("::1", True), ("a:80", False), ("http://a", False), ("*", False)],
)
def test_a_name_to_be_added_is_a_name(name: str, is_one: bool) -> None:
    assert is_host_name(name) is is_one
