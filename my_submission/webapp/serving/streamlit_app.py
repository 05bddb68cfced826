"""Streamlit's server behind the guard, with uploads on disk instead of in memory.

Only this module uses Streamlit's internals. They are checked before and during the start of the server, so that an
incompatible version of Streamlit is refused instead of serving without protection.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import streamlit
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send
from streamlit import file_util, runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.session_manager import SessionInfo, SessionStorage
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from my_submission.errors import MdxError
from my_submission.webapp.serving.guard import Guard
from my_submission.webapp.serving.hosts import HostRule
from my_submission.webapp.serving.upload_route import UploadRoute
from my_submission.webapp.serving.uploads import UploadStore
from my_submission.webapp.serving.visits import VISIT_SECONDS, VisitCookies

_POLICY = (
    "default-src 'none'",
    "script-src 'self' blob: 'wasm-unsafe-eval' {scripts}",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' blob:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "worker-src 'self' blob:",
    "manifest-src 'self'",
    "frame-src 'self'",
    "frame-ancestors 'self'",
    "base-uri 'none'",
    "form-action 'none'",
)
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)

MAX_DISCONNECTED = 128
UPLOAD_PATH = "/_stcore/upload_file"
CLOSED = ("/_stcore/metrics", "/_stcore/agent", "/_stcore/script-health-check")
"""Paths of Streamlit's server that this page does not use."""

NO_CACHE = {"Cache-Control": "no-cache"}
"""Browsers must revalidate the page, because it names files of this version of Streamlit."""


def streamlit_page(base_path: str) -> str:
    """Return Streamlit's page, with a script that tells it the address of the server.

    Without the script, Streamlit first asks below the page's own address, where ``/scores/_stcore/health`` is 404.
    """
    page = Path(file_util.get_static_dir(), "index.html").read_text("utf-8")
    path = json.dumps(f"{base_path}/").replace("<", "\\u003c")
    script = f"window.__streamlit = {{ BACKEND_BASE_URL: location.origin + {path} }}"
    return page.replace("</head>", f"<script>{script}</script></head>", 1)


def protective_headers(page: str) -> dict[str, str]:
    """Return security headers: browsers load from this server only, and other sites cannot frame the page.

    Inline scripts of a page are allowed by their hashes.
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in _INLINE_SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return {
        "Content-Security-Policy": "; ".join(_POLICY).format(scripts=scripts),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


class DiskUploads(MemoryUploadedFileManager):
    """Streamlit's upload manager over the upload store; it knows only names, and pages read content from the store."""

    def __init__(self, store: UploadStore) -> None:
        super().__init__(UPLOAD_PATH)
        self._store = store

    def get_files(self, session_id: str, file_ids: Sequence[str]) -> list[UploadedFileRec]:
        """Return the uploaded files of a session, without content."""
        found = [(file_id, self._store.find(session_id, file_id)) for file_id in file_ids]
        return [
            UploadedFileRec(file_id, upload.name, upload.content_type, b"")
            for file_id, upload in found
            if upload is not None
        ]

    def add_file(self, session_id: str, file: UploadedFileRec) -> None:
        """Raise RuntimeError, because uploads use :class:`UploadRoute`."""
        raise RuntimeError(f"an upload of {len(file.data)} bytes used Streamlit's own route")

    def remove_file(self, session_id: str, file_id: str) -> None:
        """Delete a file."""
        self._store.remove(session_id, file_id)

    def remove_session_files(self, session_id: str) -> None:
        """Delete all files of a session."""
        self._store.remove_visitor(session_id)


class DisconnectedSessions(SessionStorage):
    """Disconnected Streamlit sessions that may still reconnect.

    Streamlit's own storage removes expired sessions only when another one disconnects. This one ends each session on
    time, which frees its files and memory.

    Args:
        seconds: time to reconnect.
        max_sessions: sessions kept; the oldest ends when there are more.
    """

    def __init__(self, seconds: float, *, max_sessions: int = MAX_DISCONNECTED) -> None:
        self._seconds, self._max_sessions = seconds, max_sessions
        self._kept: dict[str, tuple[SessionInfo, asyncio.TimerHandle]] = {}

    def get(self, session_id: str) -> SessionInfo | None:
        """Return a disconnected session, or None."""
        found = self._kept.get(session_id)
        return None if found is None else found[0]

    def save(self, session_info: SessionInfo) -> None:
        """Keep a session until it expires; called in the server's event loop."""
        session_id = session_info.session.id
        self.delete(session_id)
        timer = asyncio.get_running_loop().call_later(self._seconds, self._end, session_id)
        self._kept[session_id] = session_info, timer
        while len(self._kept) > self._max_sessions:
            self._end(next(iter(self._kept)))

    def delete(self, session_id: str) -> None:
        """Remove a session that reconnected."""
        _, timer = self._kept.pop(session_id, (None, None))
        if timer is not None:
            timer.cancel()

    def list(self) -> list[SessionInfo]:
        """Return all disconnected sessions."""
        return [info for info, _ in self._kept.values()]

    def _end(self, session_id: str) -> None:
        info = self.get(session_id)
        self.delete(session_id)
        if info is not None:
            info.session.shutdown()


class PageApp(streamlit.App):
    """Streamlit's application behind the guard.

    Args:
        pages: paths of the script's pages, without the base path.
        base_path: prefix of all paths, such as ``/mdx``; empty for none.
        grace_seconds: time to reconnect after a lost connection.
        visit_seconds: lifetime of the visit's cookie after the last page load.
        on_upload: called with the id of a page's session and of a file before a complete upload is answered.
        on_end: called when the server ends, also by a signal.

    Raises:
        MdxError: this version of Streamlit is not supported.
    """

    def __init__(
        self,
        script: Path,
        *,
        routes: Sequence[BaseRoute],
        pages: Sequence[str] = ("/",),
        uploads: UploadStore,
        rule: HostRule,
        base_path: str = "",
        grace_seconds: float,
        visit_seconds: float = VISIT_SECONDS,
        on_upload: Callable[[str, str], None] = lambda page, file_id: None,
        on_end: Callable[[], None],
    ) -> None:
        if not hasattr(streamlit.App, "_create_runtime"):
            raise _unknown_streamlit("it has no App._create_runtime")
        page = streamlit_page(base_path)
        page_routes = [Route(base_path + path, lambda _: HTMLResponse(page, headers=NO_CACHE)) for path in pages]
        super().__init__(script, routes=[*routes, *page_routes], lifespan=self._checked)
        self._uploads = DiskUploads(uploads)
        self._is_guarding = False
        self._grace_seconds, self._on_end = grace_seconds, on_end
        visits = VisitCookies(super().__call__, base_path=base_path, seconds=visit_seconds)
        prefix = base_path + UPLOAD_PATH
        route = UploadRoute(visits, uploads, prefix=prefix, refusal=_refusal, on_complete=on_upload)
        self._guard = Guard(route, rule, headers=protective_headers(page), closed=[base_path + path for path in CLOSED])
        self.problem: MdxError | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        self._is_guarding = True
        await self._guard(scope, receive, send)

    def _create_runtime(self) -> runtime.Runtime:
        """Return Streamlit's runtime with the upload manager and session storage of this module."""
        from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
        from streamlit.web.cache_storage_manager_config import create_default_cache_storage_manager

        return runtime.Runtime(
            runtime.RuntimeConfig(
                script_path=str(self.script_path),
                media_file_storage=MemoryMediaFileStorage("/media"),
                uploaded_file_manager=self._uploads,
                cache_storage_manager=create_default_cache_storage_manager(),
                session_storage=DisconnectedSessions(self._grace_seconds),
            )
        )

    @asynccontextmanager
    async def _checked(self, _: streamlit.App) -> AsyncIterator[dict[str, Any] | None]:
        """Refuse to serve if the guard or the upload manager is bypassed."""
        if not self._is_guarding:
            self.problem = _unknown_streamlit("it bypasses the guard")
        elif runtime.get_instance().uploaded_file_mgr is not self._uploads:
            self.problem = _unknown_streamlit("it keeps uploads in memory")
        if self.problem is not None:
            raise self.problem
        try:
            yield None
        finally:
            self._on_end()


def _refusal(request: Request, session_id: str) -> Response | None:
    """Return the response to an upload that does not come from a connected page of this server, or None."""
    from streamlit.web.server.server_util import is_xsrf_enabled
    from streamlit.web.server.starlette.starlette_app_utils import validate_xsrf_token
    from streamlit.web.server.starlette.starlette_server_config import XSRF_COOKIE_NAME

    stated, cookie = request.headers.get("X-Xsrftoken"), request.cookies.get(XSRF_COOKIE_NAME)
    if is_xsrf_enabled() and not validate_xsrf_token(stated, cookie):
        return PlainTextResponse("Load the page from this server first.", 403)
    if not runtime.get_instance().is_active_session(session_id):
        return PlainTextResponse("This page is no longer connected. Load it again.", 400)
    return None


def _unknown_streamlit(what: str) -> MdxError:
    return MdxError(
        f"Streamlit {version('streamlit')} is not supported, because the page would be unprotected ({what})",
        hint="run pip install 'streamlit>=1.67,<1.68'",
    )
