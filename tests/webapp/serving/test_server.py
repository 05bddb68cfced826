"""A real server of the page under attack: uploads without end, other names and origins, paths that lead elsewhere."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.session_manager import SessionInfo
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from my_submission.errors import MdxError
from my_submission.webapp.server import SCRIPT
from my_submission.webapp.serving.hosts import HostRule
from my_submission.webapp.serving.streamlit_app import DisconnectedSessions, PageApp
from my_submission.webapp.serving.uploads import UploadLimits, UploadStore
from my_submission.webapp.serving.visits import VISIT_COOKIE, is_visit
from my_submission.webapp.studio.asset_files import assets_hash
from tests.page_server import Caller, Server, running_page, until

MIB = 1 << 20
PROTECTION = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    words = ["--max-upload", "1", "--max-uploads", "5", "--grace", "1", "--allow-host", "demo.example.org"]
    with running_page(tmp_path_factory.mktemp("page"), *words, base_path="/mdx") as running:
        yield running


@pytest.mark.slow
def test_two_hundred_uploads_that_nobody_takes_cost_no_memory(server: Server) -> None:
    """100 MiB of them; the bounds are those of three files a visitor and five in all."""
    caller = Caller(server)
    process = psutil.Process(server.process.pid)
    content = bytes(MIB // 2)
    until(lambda: any("_backend_agg" in one.path for one in process.memory_maps()), "the warming up")
    readings: list[int] = []

    def is_settled() -> bool:
        readings.append(process.memory_info().rss)
        return len(readings) > 40 and max(readings[-40:]) - min(readings[-40:]) < MIB

    until(is_settled, "the loading of the default system")
    for _ in range(20):
        assert caller.put(content).status == 204
    before = process.memory_info().rss
    statuses = {caller.put(content).status for _ in range(200)}
    assert statuses == {204}
    assert process.memory_info().rss - before < 30 * MIB
    assert sum(path.stat().st_size for path in server.uploads()) <= 3 * MIB // 2
    others = [Caller(server) for _ in range(3)]
    # A page opens the first upload as its song, and gives it back, since it is no audio.
    assert [other.put(content).status for other in others] == [204, 204, 204]
    assert len(server.uploads()) == 3
    assert [other.put(content).status for other in others] == [204, 204, 503]
    assert len(server.uploads()) == 5
    for one in (caller, *others):
        one.leave()
    until(lambda: not server.uploads(), "the removal of what visitors left behind")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 204),
        ({"X-Xsrftoken": "x"}, 403),
        ({"Cookie": "x=y"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "https://demo.example.org"}, 204),
        ({"host": "evil.example"}, 403),
        ({"host": "demo.example.org"}, 204),
    ],
)
def test_uploads_come_from_pages_of_this_server(server: Server, headers: dict[str, str], status: int) -> None:
    caller = Caller(server)
    assert caller.put(b"RIFF", **headers).status == status
    caller.session = "not-a-session"
    assert caller.put(b"RIFF").status == 400
    caller.leave()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/scores", 200),
        ("/_stcore/health", 200),
        ("/_stcore/host-config", 200),
        ("/_stcore/metrics", 404),
        ("/_stcore/agent/openapi.json", 404),
        ("/song/t%C3%B6ken/state.json", 404),
        ("/song/%ff%fe/state.json", 404),
        ("/song/%ED%A0%80/1/play/vocals/0.flac", 404),
        ("/song/" + "0" * 48 + "/state.json", 404),
        ("/song/" + "0" * 48 + "/1/play/..%2F..%2Fetc%2Fpasswd/0.flac", 400),
        ("/studio/0/studio.js", 404),
        ("/song/../../../../etc/passwd", 400),
        ("/song/%2e%2e/%2e%2e/etc/passwd", 400),
        ("/..%2f..%2fetc/passwd", 400),
        ("/static/..%5c..%5cetc/passwd", 400),
        ("/media/..%2f..%2fetc%2fpasswd", 400),
        ("/app/static/../page.py", 400),
        ("/component/..%2f..%2f/page.py", 400),
    ],
)
def test_every_answer_is_protected_and_no_path_leads_elsewhere(server: Server, path: str, status: int) -> None:
    answer = server.ask(path)
    assert answer.status == status
    assert {name: answer.getheader(name) for name in PROTECTION} == PROTECTION
    policy = answer.getheader("Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "root:" not in answer.text
    assert server.ask(path, host="evil.example").status == 403


@pytest.mark.parametrize("path", ["/", "/scores"])
def test_every_page_knows_the_address_of_the_server(server: Server, path: str) -> None:
    """Otherwise the browser asks below the page's own address first, and reports 404; the policy allows the script."""
    answer = server.ask(path)
    script = re.search(r"<script>(window\.__streamlit = .*?)</script>", answer.text)
    assert script is not None
    assert 'BACKEND_BASE_URL: location.origin + "/mdx/"' in script[1]
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.getheader("Content-Security-Policy")
    assert answer.getheader("Cache-Control") == "no-cache"


def test_addresses_are_below_the_base_path(server: Server) -> None:
    outside = Server(server.port, "", server.scratch, server.process)
    assert outside.ask("/").status == 404
    assert outside.ask("/_stcore/health").status == 404


def test_every_browser_gets_a_visit_of_its_own(server: Server) -> None:
    cookies = [SimpleCookie(server.ask("/").getheader("Set-Cookie"))[VISIT_COOKIE] for _ in range(2)]
    assert len({cookie.value for cookie in cookies}) == 2
    for cookie in cookies:
        assert is_visit(cookie.value)
        assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/mdx", "Strict", True)
    known = f"{VISIT_COOKIE}={cookies[0].value}"
    renewed = SimpleCookie(server.ask("/scores", Cookie=known).getheader("Set-Cookie"))
    assert renewed[VISIT_COOKIE].value == cookies[0].value


@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 403), ("https://demo.example.org", 404)])
def test_songs_are_stopped_and_deleted_by_pages_of_this_server(server: Server, origin: str, status: int) -> None:
    for what in ("stop", "delete"):
        assert server.ask(f"/song/{'0' * 48}/{what}", method="POST", Origin=origin).status == status


def test_the_studio_s_files_are_served(server: Server) -> None:
    answer = server.ask(f"/studio/{assets_hash()}/studio.js")
    assert answer.status == 200
    assert answer.getheader("Cache-Control") == "public, max-age=31536000, immutable"
    assert answer.getheader("Content-Type").startswith("text/javascript")


@pytest.mark.parametrize(
    ("host", "origin", "is_let_in"),
    [
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}", True),
        ("demo.example.org", "https://demo.example.org", True),
        ("localhost:{port}", "https://demo.example.org", True),  # a proxy that passes its own name on
        ("127.0.0.1:{port}", "http://evil.example", False),
        ("127.0.0.1:{port}", "http://localhost:3000", False),
        ("evil.example:{port}", "http://evil.example:{port}", False),
    ],
)
def test_web_sockets_open_for_pages_of_this_server(server: Server, host: str, origin: str, is_let_in: bool) -> None:
    answer = server.ask(
        "/_stcore/stream",
        host=host.format(port=server.port),
        Origin=origin.format(port=server.port),
        Connection="Upgrade",
        Upgrade="websocket",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
    )
    assert answer.status == (101 if is_let_in else 403)
    if not is_let_in:
        assert {name: answer.getheader(name) for name in PROTECTION} == PROTECTION


class _Session:
    """As much of a session as its storage knows."""

    def __init__(self, name: str) -> None:
        self.id, self.is_over = name, False

    def shutdown(self) -> None:
        self.is_over = True


def test_a_session_ends_at_its_time_unless_it_came_back() -> None:
    sessions = [_Session(str(index)) for index in range(4)]

    def info(session: _Session) -> SessionInfo:
        return SessionInfo(client=None, session=session, script_run_count=1)  # type: ignore[arg-type]

    async def leave() -> None:
        kept = DisconnectedSessions(3_600, max_sessions=2)
        for session in sessions[:3]:
            kept.save(info(session))
        assert [one.session.id for one in kept.list()] == ["1", "2"]
        kept.delete("2")
        kept.delete("never there")
        assert kept.get("2") is None
        ending = DisconnectedSessions(0)
        ending.save(info(sessions[3]))
        while ending.list():
            await asyncio.sleep(0)
        kept.delete("1")

    asyncio.run(leave())
    assert [session.is_over for session in sessions] == [True, False, False, True]


@pytest.mark.parametrize(("is_guarding", "problem"), [(False, "bypasses the guard"), (True, "keeps uploads in memory")])
def test_a_streamlit_that_cannot_be_protected_is_refused(
    is_guarding: bool, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = UploadStore(tmp_path, UploadLimits(1, 1, 1, 1, 1))
    rule = HostRule.listening("127.0.0.1")
    app = PageApp(SCRIPT, routes=[], uploads=store, rule=rule, grace_seconds=1, on_end=lambda: None)
    app._is_guarding = is_guarding
    elsewhere = SimpleNamespace(uploaded_file_mgr=MemoryUploadedFileManager("/up"))
    monkeypatch.setattr(runtime, "get_instance", lambda: elsewhere)

    async def start() -> None:
        async with app._checked(app):
            pass

    with pytest.raises(MdxError, match=f"{problem}.*pip install 'streamlit"):
        asyncio.run(start())
    with pytest.raises(RuntimeError, match="Streamlit's own route"):
        app._uploads.add_file("session", UploadedFileRec("1", "a.wav", "audio/wav", b"abc"))
