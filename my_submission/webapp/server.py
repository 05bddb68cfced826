"""The server of the page: Streamlit's server with additional routes, behind the guard."""

from __future__ import annotations

import importlib
import socket
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from my_submission.errors import MdxError
from my_submission.pictures import palettes, require_matplotlib
from my_submission.webapp.app import open_app
from my_submission.webapp.serving.hosts import HostRule
from my_submission.webapp.serving.visits import VISIT_SECONDS
from my_submission.webapp.settings import PageSettings
from my_submission.webapp.views.page_paths import PAGES
from my_submission.webapp.work.loaded_systems import LoadPredictor
from terminal.extras import command_for

SCRIPT = Path(__file__).with_name("page.py")

MAX_MESSAGE_MIB = 16
"""Largest web socket message; audio, pictures and uploads use HTTP."""


def serve(settings: PageSettings, load: LoadPredictor) -> None:
    """Serve the page until the process ends.

    Args:
        load: loads the predictor of a system by name.

    Raises:
        MdxError: Streamlit or matplotlib is not installed, or a file of the settings is missing.
        MdxError: the address cannot be used, for example because another program listens on the port.
    """
    if find_spec("streamlit") is None:
        raise MdxError("the page needs Streamlit", hint=f"run {command_for('streamlit')}")
    require_matplotlib()
    from my_submission.webapp.studio.routes import routes

    try:
        from my_submission.webapp.serving.streamlit_app import PageApp
    except ImportError as error:
        raise MdxError(
            f"this version of Streamlit is not supported ({error})",
            hint=f"run {command_for('streamlit')} -U",
        ) from error
    check_address(settings.host, settings.port)
    current_app = open_app(settings, load)
    current_app.prepare()
    threading.Thread(target=_warm_up, daemon=True).start()
    try:
        app = PageApp(
            SCRIPT,
            routes=routes(settings.base_path),
            pages=PAGES,
            uploads=current_app.uploads,
            rule=HostRule.listening(settings.host, allowed=settings.allowed_hosts),
            base_path=settings.base_path,
            grace_seconds=settings.grace_seconds,
            visit_seconds=max(VISIT_SECONDS, settings.keep_seconds),
            on_upload=current_app.receive,
            on_end=current_app.close,
        )
        try:
            app.run(config=configuration(settings))
        except SystemExit:
            if app.problem is not None:
                raise app.problem from None
            raise
    finally:
        current_app.close()


def check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before threads are started and songs are loaded.

    Raises:
        MdxError: the port is used or reserved, or the host is not an address of this machine.
    """
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise MdxError(
            f"the page cannot listen here ({reason})",
            where=f"{host}:{port}",
            hint="end the program that uses the port, or choose another --port (0: any free one) or --host",
        ) from error


def _warm_up() -> None:
    """Import modules that would delay the first page by more than a second."""
    for name in ("av", "scipy.signal", "matplotlib.backends.backend_agg"):
        importlib.import_module(name)


def configuration(settings: PageSettings) -> dict[str, Any]:
    """Return Streamlit's options: address, no telemetry, no file watcher, the colours of the pictures."""
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
        "theme.baseRadius": "10px",
        "theme.headingFontSizes": ["2.25rem", "1.5rem", "1.25rem"],
        **_theme("light", palettes.LIGHT),
        **_theme("dark", palettes.DARK),
    }


def _theme(name: palettes.Theme, palette: palettes.Palette) -> dict[str, str]:
    """Return Streamlit's options for a colour scheme; without a base theme the browser's scheme decides."""
    colours = {
        "primaryColor": palette.accent,
        "textColor": palette.ink,
        "backgroundColor": palette.paper,
        "secondaryBackgroundColor": palette.wash,
        "borderColor": palette.line,
        "linkColor": palette.link,
    }
    return {f"theme.{name}.{option}": colour for option, colour in colours.items()}
