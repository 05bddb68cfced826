"""The scores page in a real browser, on the screens of a desk and a phone, light and dark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.accessibility import SCREENS, Screen, assert_accessible, chromium, too_wide, watched
from tests.evaluator.test_replay import document
from tests.page_server import PATIENCE_SECONDS, Server, running_page

pytest.importorskip("streamlit", reason="Streamlit is not installed")
pytestmark = [pytest.mark.timeout(2_400), pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    chromium()
    scores = tmp_path_factory.mktemp("scores")
    for name, better in (("one", 0.0), ("two", 0.4)):
        (scores / name).mkdir()
        values = {"bass": 5.9, "drums": 6.1, "other": 4.2, "vocals": 7.0 + better}
        (scores / name / "scores.json").write_text(json.dumps(document(values, system="the same system")))
    with running_page(tmp_path_factory.mktemp("page"), "--scores", str(scores)) as running:
        yield running


@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_the_conclusion_stands_first_and_runs_are_told_apart(browser: Any, server: Server, screen: Screen) -> None:
    address = f"{server.address}/scores"
    with watched(browser, screen, address, reduced_motion="reduce") as page:
        page.set_default_timeout(1_000 * PATIENCE_SECONDS)
        page.goto(address)
        for name in ("one", "two"):
            first = page.get_by_text(f"the same system ({name}) would be").first
            first.wait_for()
            assert first.bounding_box()["y"] < screen.height / 2
        page.locator("[data-testid=stVegaLiteChart] svg").first.wait_for()
        assert page.get_by_text("orientation only").count() == 1
        page.get_by_text("Runs shown").wait_for()
        page.locator("[data-test-script-state=notRunning]").wait_for()
        page.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton], [data-stale=true]')")
        assert too_wide(page) == []
        assert_accessible(page, where="[data-testid=stMain]")
        paper = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
        assert paper == ("rgb(255, 255, 255)" if screen.scheme == "light" else "rgb(18, 22, 27)")
