"""Fixtures of the studio's tests in a browser."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.accessibility import SCREENS, Screen, watched
from tests.page_server import PATIENCE_SECONDS
from tests.webapp.studio.stand_in import StandIn, served
from tests.webapp.studio.studio_window import SPY, StudioWindow


@pytest.fixture
def come(browser: Any) -> Iterator[Callable[..., StudioWindow]]:
    """Open the studio of a stand-in song on a screen."""
    with contextlib.ExitStack() as stack:

        def open_studio(song: StandIn, screen: Screen = SCREENS[0], *, allowed: str = "\0") -> StudioWindow:
            address = stack.enter_context(served(song))
            is_phone = screen.name == "phone"
            options = {"has_touch": is_phone, "is_mobile": is_phone}
            page = stack.enter_context(watched(browser, screen, address, allowed=allowed, **options))
            page.set_default_timeout(1_000 * PATIENCE_SECONDS)
            page.add_init_script(SPY)
            page.goto(address)
            page.locator(".studio h2").get_by_text(song.name).wait_for()
            return StudioWindow(page, song)

        yield open_studio
