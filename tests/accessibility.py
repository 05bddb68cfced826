"""Pages in a real browser: its start, widths of screens, and what axe-core says of accessibility.

Tests that use it are skipped, with the reason, where there is no browser or no Playwright.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

import pytest

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
"""Of a Chromium that speaks to nobody by itself and plays audio without a click."""

SEVERE = ("serious", "critical")


@dataclass(frozen=True)
class Screen:
    """Size and colour scheme of a screen."""

    name: str
    width: int
    height: int
    scheme: str

    def __str__(self) -> str:
        return f"{self.name}-{self.scheme}"


SCREENS = (Screen("desktop", 1440, 900, "light"), Screen("phone", 390, 844, "dark"))
"""Both sizes and both schemes; colours do not depend on the size."""


def chromium() -> str:
    """Path of a Chromium; skips the test where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is installed")
    return found


@contextmanager
def running_chromium() -> Iterator[Any]:
    """A headless Chromium of Playwright; skips the test where there is none."""
    path = chromium()
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def watched(browser: Any, screen: Screen, address: str, *, allowed: str = "\0", **options: Any) -> Iterator[Any]:
    """An empty window for pages of an address; what they load from elsewhere, and errors they report, fail the test.

    Args:
        allowed: part of the errors that a test provokes.
        options: further ones of Playwright's ``new_context``.
    """
    size = {"width": screen.width, "height": screen.height}
    context = browser.new_context(viewport=size, color_scheme=screen.scheme, **options)
    page = context.new_page()
    outside: list[str] = []
    complaints: list[str] = []
    context.on("request", lambda request: note_outside(request.url, address, outside))
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert not outside, f"fetched from elsewhere: {outside}"
    complaints = [text for text in complaints if allowed not in text]
    assert not complaints, f"the page reports errors: {complaints}"


@contextmanager
def opened(browser: Any, screen: Screen, address: str) -> Iterator[Any]:
    """A page on a screen, without motion; what it loads from elsewhere, and errors it reports, fail the test."""
    with watched(browser, screen, address, reduced_motion="reduce") as page:
        page.goto(address)
        yield page


def note_outside(url: str, address: str, outside: list[str]) -> None:
    """Add a request that leaves the page's own origin."""
    origin = "/".join(address.split("/", 3)[:3])
    if not url.startswith((origin, origin.replace("http", "ws", 1), "data:", "blob:")):
        outside.append(url)


def too_wide(page: Any) -> list[str]:
    """Return the elements that a reader would have to scroll sideways for; those in a scrolling box do not count."""
    found: list[str] = page.evaluate(
        """() => {
          const limit = document.documentElement.clientWidth + 0.5;
          const scrolls = (one) => {
            for (let box = one.parentElement; box; box = box.parentElement)
              if (["auto", "scroll", "hidden"].includes(getComputedStyle(box).overflowX)) return true;
            return false;
          };
          return [...document.body.querySelectorAll("*")]
            .filter((one) => one.getBoundingClientRect().width > 0 && one.getBoundingClientRect().right > limit)
            .filter((one) => !scrolls(one))
            .map((one) => `${one.tagName}.${one.className?.baseVal ?? one.className}: ${one.textContent.slice(0, 40)}`);
        }"""
    )
    return found


def assert_accessible(page: Any, *, where: str = "") -> None:
    """Fail with all that axe-core calls serious or critical, and with the style of what is too pale.

    Args:
        page: Playwright's page.
        where: CSS selector of the part to look at; default: the whole page.
    """
    faults = accessibility_faults(page, where=where)
    assert not faults, "\n".join(["axe-core finds:", *faults])


def accessibility_faults(page: Any, *, where: str = "") -> list[str]:
    """Return what axe-core calls serious or critical, one line each; an empty list is a pass.

    Args:
        page: Playwright's page.
        where: CSS selector of the part to look at; default: the whole page.
    """
    importlib.import_module("axe_playwright_python")  # a missing library fails here, with its name
    page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = page.evaluate("(where) => axe.run(where || document, {resultTypes: ['violations']})", where)
    return [
        f"{one['impact']}: {one['id']}: {node['target']}: {' '.join(node['failureSummary'].split())}: {node['html']}"
        for one in found["violations"]
        if one["impact"] in SEVERE
        for node in one["nodes"]
    ]
