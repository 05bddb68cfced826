"""The replay's page in a real browser, on the screens of a desk and a phone, light and dark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluator.boards import find_board
from evaluator.cli import main
from tests.accessibility import SCREENS, Screen, assert_accessible, opened, too_wide
from tests.evaluator.test_replay import document

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replay")
    paths = []
    for index, system in enumerate(("a-system-with-a-long-name", "second <run>")):
        values = {"bass": 5.9 + index, "drums": 6.1, "other": 4.2, "vocals": 7.0 - index}
        paths.append(folder / f"{index}.json")
        paths[-1].write_text(json.dumps(document(values, system=system)), encoding="utf-8")
    page = folder / "replay.html"
    assert main(["replay", *map(str, paths), "--html", str(page), "--resamples", "50"]) == 0
    return page


@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_the_page_fits_every_screen_and_can_be_used_by_everyone(browser: Any, page_file: Path, screen: Screen) -> None:
    with opened(browser, screen, page_file.as_uri()) as page:
        heights = []
        for _ in range(2):
            assert too_wide(page) == []
            assert_accessible(page)
            heights.append(page.evaluate("document.documentElement.scrollHeight"))
            page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert heights[0] < 3.5 * screen.height < heights[1], "short by default"
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(255, 255, 255)" if screen.scheme == "light" else "rgb(18, 22, 27)")
        first = page.locator(".conclusion").bounding_box()
        assert first["y"] + first["height"] < screen.height, "the conclusion is seen without scrolling"


def test_a_board_on_a_phone_shows_its_overall_values(browser: Any, page_file: Path) -> None:
    with opened(browser, SCREENS[1], page_file.as_uri()) as page:
        page.get_by_text("MDX21-A").first.click()
        box = page.locator("details[open] td.bar").first.bounding_box()
        assert box["x"] + box["width"] < 390


def test_columns_are_sorted_by_value_and_by_name(browser: Any, page_file: Path) -> None:
    with opened(browser, SCREENS[0], page_file.as_uri()) as page:
        page.locator("summary").first.click()
        table = page.locator("details[open] table.sortable").first
        orders = []
        for column in ("vocals", "vocals", "entry"):
            table.get_by_role("button", name=column).click()
            index = ["entry", "overall", "bass", "drums", "other", "vocals"].index(column)
            orders.append(
                table.evaluate(
                    "(table, index) => [...table.tBodies[0].rows].map((row) => row.cells[index].dataset.value)", index
                )
            )
        down, up = ([float(value) for value in order] for order in orders[:2])
        assert down == sorted(down, reverse=True)
        assert up == sorted(up)
        assert orders[2] == sorted(orders[2], key=str.casefold)
        assert len(orders[2]) == len(find_board("MDX21-A").entries) + 2
        assert table.get_by_role("columnheader", name="entry").get_attribute("aria-sort") == "ascending"
