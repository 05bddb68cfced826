"""The server behind the page: Streamlit's own, with our routes beside it and a guard before it."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from my_submission.errors import MdxError
from my_submission.pictures import look, require_matplotlib
from my_submission.predictor import Predictor
from my_submission.webapp.app import open_studio
from my_submission.webapp.hosts import HostRule
from my_submission.webapp.settings import PageSettings

SCRIPT = Path(__file__).with_name("page.py")
MAX_MESSAGE_MIB = 16
"""Of a message by web socket, either way; sound, pictures and uploads go by addresses of their own."""


def serve(settings: PageSettings, load: Callable[[str], Predictor]) -> None:
    """Serve the page until the process is told to end.

    Args:
        settings: limits and places.
        load: from a system's name to its predictor.

    Raises:
        MdxError: Streamlit or matplotlib is missing, or something of the settings is not there.
        SystemExit: the port cannot be used.
    """
    if find_spec("streamlit") is None:
        raise MdxError("the page needs Streamlit", hint="run pip install -e '.[web]'")
    require_matplotlib()
    from my_submission.webapp.routes import routes

    try:
        from my_submission.webapp.streamlit_app import PageApp
    except ImportError as error:
        raise MdxError(
            f"this Streamlit is not one the page was written for ({error})",
            hint="run pip install -U -e '.[web]'",
        ) from error
    studio = open_studio(settings, load)
    threading.Thread(target=_warm_up, daemon=True).start()
    try:
        app = PageApp(
            SCRIPT,
            routes=routes(settings.base_path),
            uploads=studio.uploads,
            rule=HostRule.listening(settings.host, granted=settings.allowed_hosts),
            base_path=settings.base_path,
            grace_seconds=settings.grace_seconds,
            on_end=studio.close,
        )
        try:
            app.run(config=configuration(settings))
        except SystemExit:
            if app.problem is not None:
                raise app.problem from None
            raise
    finally:
        studio.close()


def _warm_up() -> None:
    """Import what the first visitor would wait for: more than a second of a processor."""
    for name in ("scipy.signal", "matplotlib.backends.backend_agg"):
        importlib.import_module(name)


def configuration(settings: PageSettings) -> dict[str, Any]:
    """Streamlit's options: where to listen, no telemetry, no files watched, the look of the pictures."""
    return {
        "server.address": settings.host,
        "server.port": settings.port,
        "server.headless": True,
        "server.baseUrlPath": settings.base_path.strip("/"),
        "server.maxUploadSize": settings.max_upload_mib,
        "server.maxMessageSize": MAX_MESSAGE_MIB,
        "server.maxWidgetStateSize": 1,
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.enableStaticServing": False,
        "global.developmentMode": False,
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": False,
        "browser.gatherUsageStats": False,
        "browser.serverAddress": settings.host,
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "theme.base": "light",
        "theme.primaryColor": look.SERIES[1],
        "theme.textColor": look.INK,
        "theme.backgroundColor": look.PAPER,
        "theme.secondaryBackgroundColor": look.WASH,
        "theme.borderColor": look.LINE,
        "theme.baseRadius": "10px",
    }
