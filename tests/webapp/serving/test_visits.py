"""The visit's cookie: given once, renewed with every page, and unreadable for scripts and other sites."""

from __future__ import annotations

import asyncio
from http.cookies import SimpleCookie

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from my_submission.webapp.serving.visits import VISIT_COOKIE, VISIT_SECONDS, VisitCookies, is_visit

KNOWN = "0123456789abcdef" * 3


def cookie_of(
    response: Response, *, path: str = "/", cookie: str = "", scheme: str = "http", base_path: str = "", **headers: str
) -> str | None:
    """What a browser is told to keep after a request."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await response(scope, receive, send)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    lines = {**headers, **({"cookie": cookie} if cookie else {})}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in lines.items()]
    scope = {"type": "http", "method": "GET", "path": path, "headers": raw, "scheme": scheme}
    asyncio.run(VisitCookies(app, base_path=base_path)(scope, receive, send))
    found = [value.decode() for name, value in sent[0]["headers"] if name == b"set-cookie"]
    assert len(found) < 2
    return found[0] if found else None


def token_in(cookie: str | None) -> str:
    assert cookie is not None
    return SimpleCookie(cookie)[VISIT_COOKIE].value


def test_a_page_gives_a_visit_that_only_this_server_reads() -> None:
    first, second = cookie_of(HTMLResponse("page")), cookie_of(HTMLResponse("page"))
    assert is_visit(token_in(first))
    assert token_in(first) != token_in(second)
    assert first is not None
    rules = {part.strip() for part in first.split(";")[1:]}
    assert rules == {f"Max-Age={VISIT_SECONDS}", "Path=/", "HttpOnly", "SameSite=Strict"}
    below = cookie_of(HTMLResponse("page"), base_path="/mdx", scheme="https")
    assert below is not None
    assert "Path=/mdx;" in below
    assert below.endswith("; Secure")


def test_a_visit_is_kept() -> None:
    stated = f"_streamlit_xsrf=2|a|b; {VISIT_COOKIE}={KNOWN}; other=1"
    assert token_in(cookie_of(HTMLResponse("page"), cookie=stated)) == KNOWN
    assert cookie_of(JSONResponse({}), path="/_stcore/health", cookie=stated) is None


@pytest.mark.parametrize("stated", ["", "x", KNOWN[:-1], KNOWN.upper(), f"{KNOWN}0", "../../etc"])
def test_anything_else_becomes_a_new_visit(stated: str) -> None:
    token = token_in(cookie_of(HTMLResponse("page"), cookie=f"{VISIT_COOKIE}={stated}"))
    assert is_visit(token)
    assert token != stated


def test_broken_cookies_of_others_do_not_end_the_visit() -> None:
    broken = f'a[]=b; \x00=; mdx_visit; c="d; e; {VISIT_COOKIE}={KNOWN}'
    assert token_in(cookie_of(HTMLResponse("page"), cookie=broken)) == KNOWN
    assert is_visit(token_in(cookie_of(HTMLResponse("page"), cookie="a[]=b; \x00=; mdx_visit")))


def test_a_link_from_another_site_does_not_end_the_visit() -> None:
    """Such a request comes without the cookie; the page's own next request has it, or gets one."""
    assert cookie_of(HTMLResponse("page"), sec_fetch_site="cross-site") is None
    assert is_visit(token_in(cookie_of(JSONResponse({}), path="/_stcore/health", sec_fetch_site="same-origin")))


@pytest.mark.parametrize("response", [JSONResponse({}), HTMLResponse("missing", 404)])
def test_other_answers_set_no_cookie(response: Response) -> None:
    assert cookie_of(response) is None
