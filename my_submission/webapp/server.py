"""The server behind the page: Streamlit's own, with our routes beside it."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from my_submission.errors import MdxError
from my_submission.pictures import look, require_matplotlib
from my_submission.predictor import Predictor
from my_submission.webapp.settings import PageSettings
from my_submission.webapp.studio import open_studio

SCRIPT = Path(__file__).with_name("page.py")


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
        raise MdxError("the page needs Streamlit", cure="run pip install -e '.[web]'")
    require_matplotlib()
    import streamlit

    from my_submission.webapp.routes import routes

    studio = open_studio(settings, load)

    @contextlib.asynccontextmanager
    async def lifespan(_: streamlit.App) -> AsyncIterator[None]:
        try:
            yield
        finally:
            studio.close()

    threading.Thread(target=_warm_up, daemon=True).start()
    try:
        app = streamlit.App(SCRIPT, routes=routes(), lifespan=lifespan)
        app.run(config=configuration(settings))
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
        "server.maxUploadSize": settings.max_upload_mib,
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": False,
        "server.disconnectedSessionTTL": max(1, round(settings.grace_seconds)),
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
