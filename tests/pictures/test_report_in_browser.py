"""The report of a song in a real browser, on the screens of a desk and a phone, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soundfile

from my_submission.pictures import write_pictures
from my_submission.predictor import Predictor
from tests.accessibility import SCREENS, Screen, assert_accessible, opened, too_wide
from tests.audio_fixtures import sines
from tests.rigs import two_branches

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

SECONDS = 3


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report that was moved away from its stems."""
    folder = tmp_path_factory.mktemp("song")
    soundfile.write(folder / "song.wav", 0.3 * sines(SECONDS * 44_100, 44_100).T, 44_100)
    report = Predictor(two_branches()).separate_file(folder / "song.wav", folder / "stems")
    written = write_pictures(report, folder / "stems", song="A rather long name of a song, as files have them")
    return written["page"].rename(folder / "alone.html")


@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_the_report_fits_every_screen_and_can_be_used_by_everyone(
    browser: Any, page_file: Path, screen: Screen
) -> None:
    with opened(browser, screen, page_file.as_uri()) as page:
        assert too_wide(page) == []
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert too_wide(page) == []
        assert_accessible(page)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(245, 247, 249)" if screen.scheme == "light" else "rgb(27, 33, 40)")


def test_players_play_without_the_stems_and_take_turns_at_one_position(browser: Any, page_file: Path) -> None:
    with opened(browser, SCREENS[0], page_file.as_uri()) as page:
        names = page.locator("audio").evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
        assert names == ["Mixture", "Bass", "Drums", "Other", "Vocals"]
        first, second = page.locator("audio").nth(0), page.locator("audio").nth(1)
        for audio in (first, second):
            page.wait_for_function("(audio) => audio.readyState >= 1", arg=audio.element_handle())
            assert audio.evaluate("audio => audio.duration") == pytest.approx(SECONDS, abs=0.05)
            assert audio.evaluate("audio => audio.currentSrc.slice(0, 15)") == "data:audio/webm"
        first.evaluate("audio => audio.play()")
        page.wait_for_function("(audio) => audio.currentTime > 0.3", arg=first.element_handle())
        second.evaluate("audio => audio.play()")
        page.wait_for_function("(audio) => audio.paused", arg=first.element_handle())
        position = first.evaluate("audio => audio.currentTime")
        assert second.evaluate("audio => audio.currentTime") >= position - 0.1
        assert second.evaluate("audio => audio.error") is None


def test_a_click_into_a_plot_moves_there(browser: Any, page_file: Path) -> None:
    with opened(browser, SCREENS[1], page_file.as_uri()) as page:
        audio = page.locator("audio").nth(0)
        page.wait_for_function("(audio) => audio.readyState >= 1", arg=audio.element_handle())
        plot = page.locator(".plot").nth(0)
        box = plot.bounding_box()
        plot.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
        page.wait_for_function("(audio) => Math.abs(audio.currentTime - 1.5) < 0.1", arg=audio.element_handle())
        playhead = page.locator(".playhead").nth(1)
        playhead.wait_for()
        assert playhead.evaluate("one => parseFloat(one.style.left)") == pytest.approx(50, abs=2)


def test_the_report_prints_in_light_colours_without_players(browser: Any, page_file: Path) -> None:
    with opened(browser, SCREENS[1], page_file.as_uri()) as page:
        page.emulate_media(media="print")
        ink = page.evaluate("getComputedStyle(document.body).color")
        assert ink == "rgb(27, 31, 36)", "dark on paper, whatever the screen's scheme"
        assert not page.locator("audio").nth(0).is_visible()
        assert page.locator("table").is_visible(), "folded figures are printed"
