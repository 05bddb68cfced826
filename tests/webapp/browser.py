"""Chromium for the tests of the page: where it is, and windows that note what a page must not do."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.page_server import PATIENCE_SECONDS

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
SCREENS = {"desktop": (1440, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
SERIOUS = ("serious", "critical")


def chromium() -> str:
    """Path of a Chromium; skips the tests where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is installed")
    return found


@contextlib.contextmanager
def running_browser() -> Iterator[Any]:
    """A headless Chromium that ends with the block."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Window:
    """One visitor's window.

    Attributes:
        outside: addresses of other servers that the page asked for.
        complaints: errors of the browser's console and of scripts, and violations of the content security policy.
    """

    page: Any
    context: Any
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def shoot(self, name: str) -> None:
        """Keep a picture of a state in the folder that MDX_SCREENSHOTS names, where it is set."""
        if folder := os.environ.get("MDX_SCREENSHOTS"):
            self.page.wait_for_timeout(300)
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def findings(self) -> list[str]:
        """What axe finds serious or critical on the page, as "rule: place"."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}"
            for rule in found
            if rule["impact"] in SERIOUS
            for node in rule["nodes"]
        ]


@contextlib.contextmanager
def opened_window(
    browser: Any, address: str, *, screen: str = "desktop", scheme: str = "light", **options: Any
) -> Iterator[Window]:
    """A window of its own, with cookies of its own; nothing that it must not do may have happened at its end."""
    width, height = SCREENS[screen]
    is_phone = screen == "phone"
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        has_touch=is_phone,
        is_mobile=is_phone,
        accept_downloads=True,
        **options,
    )
    context.set_default_timeout(1_000 * PATIENCE_SECONDS)
    window = Window(context.new_page(), context)
    own = (address, address.replace("http", "ws"), "data:", "blob:")

    def note_request(request: Any) -> None:
        if not request.url.startswith(own):
            window.outside.append(request.url)

    def note_message(message: Any) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            window.complaints.append(message.text)

    context.on("request", note_request)
    context.on("console", note_message)
    window.page.on("pageerror", lambda error: window.complaints.append(str(error)))
    try:
        yield window
    finally:
        context.close()
    assert window.outside == [], "something was fetched from elsewhere"
    assert window.complaints == [], "the browser complains"
