"""The studio under hand and eye, in a real browser: keys, zoom, phone, day and night, reload, other people's needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.accessibility import SCREENS, Screen, assert_accessible
from tests.page_server import until
from tests.webapp.studio.stand_in import StandIn
from tests.webapp.studio.studio_window import RATE, STEMS, StudioWindow, song_of, stems_of

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

pytestmark = [pytest.mark.timeout(1_200), pytest.mark.slow]

FINGER_PIXELS = 44
PHONE = next(screen for screen in SCREENS if screen.name == "phone")


def muted(window: StudioWindow) -> list[str]:
    return [name for name in STEMS if window.button(f"Mute {name}").get_attribute("aria-pressed") == "true"]


def test_keys_control_playback_loop_and_mix(come: Any) -> None:
    window = come(song_of(60))
    press = window.page.keyboard.press
    press("ArrowRight")
    until(lambda: window.position == pytest.approx(5, abs=0.01), "a jump of 5 s")
    press("Shift+ArrowLeft")
    until(lambda: window.position == pytest.approx(4, abs=0.01), "a jump of 1 s")
    press("[")
    press("ArrowRight")
    press("]")
    window.told("Loop 0:04.0 – 0:09.0").wait_for()
    press("l")
    assert window.button("Loop").get_attribute("aria-pressed") == "false"
    press("Home")
    until(lambda: window.position == 0, "the beginning")
    press(" ")
    until(lambda: window.position > 0.2, "playback")
    press(" ")
    until(lambda: window.status == "paused", "a pause")
    press("m")
    press("2")
    assert muted(window) == ["drums"]
    press("S")
    press("4")
    assert window.button("Solo vocals").get_attribute("aria-pressed") == "true"
    press("2")
    assert muted(window) == ["drums"], "a digit alone does nothing"
    assert window.studio.locator(".announcer").inner_text() == "vocals solo"
    press("o")
    assert window.button("Listen to the original song").get_attribute("aria-pressed") == "true"
    press("?")
    window.page.get_by_role("dialog").get_by_text("Play or pause").wait_for()
    press("Escape")
    window.page.get_by_role("dialog").wait_for(state="hidden")


def test_keys_of_input_fields_and_other_controls_are_theirs(come: Any) -> None:
    window = come(song_of(10))
    field = window.page.locator("#field")
    field.click()
    window.page.keyboard.type("m1 sl?o")
    window.page.keyboard.press("Home")
    window.page.keyboard.press("ArrowRight")
    assert field.input_value() == "m1 sl?o"
    assert muted(window) == []
    assert window.position == 0
    assert window.status == "paused"
    gain = window.lane("bass").get_by_label("Gain of bass")
    gain.focus()
    window.page.keyboard.press("ArrowLeft")
    assert gain.input_value() == "-0.5"
    assert window.position == 0
    window.page.keyboard.press("m")
    window.page.keyboard.press("1")
    assert muted(window) == ["bass"], "a slider leaves letters to the studio"
    mute = window.button("Mute vocals")
    window.page.keyboard.press("Tab")
    mute.focus()
    window.page.keyboard.press(" ")
    assert muted(window) == ["bass", "vocals"], "the space bar presses a button that was reached by keyboard"
    assert window.status == "paused"
    mute.click()
    window.page.keyboard.press(" ")
    until(lambda: window.status == "playing", "the space bar plays after a click of the mouse")


def test_the_position_is_a_slider(come: Any) -> None:
    window = come(song_of(60))
    slider = window.studio.get_by_role("slider", name="Position")
    slider.focus()
    window.page.keyboard.press("End")
    until(lambda: slider.get_attribute("aria-valuetext") == "1 minute 0 seconds of 1 minute 0 seconds", "the end")
    window.page.keyboard.press("PageDown")
    until(lambda: slider.get_attribute("aria-valuenow") == "30", "30 s back")


def test_a_lane_is_clicked_zoomed_and_scrolled(come: Any) -> None:
    window = come(song_of(40))
    box = window.lane("drums").locator(".stage").bounding_box()
    middle = box["y"] + box["height"] / 2
    window.page.mouse.click(box["x"] + box["width"] / 4, middle)
    until(lambda: window.position == pytest.approx(10, abs=0.1), "the playhead below the pointer")
    window.page.mouse.move(box["x"] + box["width"] / 4, middle)
    window.page.keyboard.down("Control")
    window.page.mouse.wheel(0, -278)  # four times as large
    window.page.keyboard.up("Control")
    playhead = window.lane("drums").locator(".playhead")
    before = playhead.evaluate("one => one.style.transform")
    share = float(before.split("(")[1].split("%")[0])
    assert share == pytest.approx(25, abs=0.5), "zoom keeps the time below the pointer"
    window.page.mouse.wheel(box["width"] / 10, 0)
    until(lambda: playhead.evaluate("one => one.style.transform") != before, "a scroll")
    window.page.mouse.click(box["x"] + box["width"] / 2, middle)
    until(lambda: window.position == pytest.approx(13.5, abs=0.3), "a click into the visible part")
    window.page.keyboard.press("0")
    assert window.button("Whole song").is_disabled()


def test_quiet_and_silent_stems_can_be_read(come: Any) -> None:
    stems = stems_of(4)
    stems["other"] *= 1 / 30
    stems["vocals"] *= 0
    window = come(StandIn({"1": stems}, rate=RATE))
    window.lane("other").get_by_text("× 32").wait_for()
    window.lane("vocals").get_by_text("silent").wait_for()

    def reach(name: str) -> int:
        """Rows of pixels that the waveform of a lane covers in some column."""
        script = """canvas => {
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          let rows = 0;
          for (let y = 0; y < height; y += 1) {
            for (let x = 0; x < width; x += 1) if (data[4 * (y * width + x) + 3] > 0) { rows += 1; break; }
          }
          return rows;
        }"""
        return int(window.lane(name).locator("canvas").evaluate(script))

    assert reach("other") > 0.5 * reach("bass")
    window.button("Fit lanes").click()
    until(lambda: reach("other") < 0.1 * reach("bass"), "the lanes at one scale")


def test_the_transport_stays_in_sight(come: Any) -> None:
    for screen in (SCREENS[0], PHONE):
        window = come(song_of(4), screen)
        transport = window.studio.locator(".transport")
        window.lane("vocals").scroll_into_view_if_needed()
        window.page.evaluate("scrollBy(0, 250)")
        window.page.wait_for_timeout(200)
        assert transport.bounding_box()["y"] == pytest.approx(48, abs=1), "below the header"
        window.play()


def test_a_reload_comes_back_to_the_mix_and_the_place(come: Any) -> None:
    window = come(song_of(30))
    window.button("Karaoke").click()
    window.lane("bass").get_by_label("Gain of bass").fill("-3")
    window.lane("bass").get_by_label("Pan of bass").fill("0.5")
    window.page.locator("h1").click()
    window.page.keyboard.press("ArrowRight")
    window.page.keyboard.press("[")
    window.page.keyboard.press("ArrowRight")
    window.page.keyboard.press("]")
    window.page.reload()
    window.lane("bass").get_by_text("−3.0 dB").wait_for()
    window.told("Loop 0:05.0 – 0:10.0").wait_for()
    assert window.lane("bass").get_by_text("R 50").is_visible()
    assert muted(window) == ["vocals"]
    assert window.button("Karaoke").get_attribute("aria-pressed") == "true"
    window.play()
    until(lambda: 5 < window.position < 10, "playback in the loop")


def test_what_was_separated_meanwhile_is_there_after_a_reload(come: Any) -> None:
    song = song_of(6, ready_samples=RATE, job={"state": "running", "text": "Separating", "share": 0.2})
    window = come(song)
    song.ready_samples, song.job = None, {"state": "done"}
    window.page.reload()
    window.studio.get_by_role("link", name="All stems").and_(window.page.locator("[href]")).wait_for()
    window.play()


def test_files_of_the_mix_the_instrumental_and_a_stem(come: Any) -> None:
    window = come(song_of(4))
    links = window.studio.locator(".downloads")
    window.studio.get_by_label("Format").select_option("flac-PCM_24")
    window.button("Mute drums").click()
    window.lane("vocals").get_by_label("Gain of vocals").fill("-1.5")
    window.lane("vocals").get_by_label("Pan of vocals").fill("0.25")
    base = "/song/token/1"
    href = links.get_by_text("Mix as heard").locator("..").get_attribute("href")
    assert href == f"{base}/mix/flac-PCM_24?name=mix&bass=0,0&other=0,0&vocals=-1.5,0.25"
    href = links.get_by_text("Instrumental").locator("..").get_attribute("href")
    assert href == f"{base}/mix/flac-PCM_24?name=instrumental&bass=0,0&drums=0,0&other=0,0"
    assert links.get_by_text("All stems").locator("..").get_attribute("href") == f"{base}/download/flac-PCM_24/all"
    with window.page.expect_download():
        window.studio.get_by_label("Download bass").click()
    window.button("Reset").click()
    window.button("Karaoke").click()
    href = links.get_by_text("Mix as heard").locator("..").get_attribute("href")
    assert href == f"{base}/mix/flac-PCM_24?name=karaoke&bass=0,0&drums=0,0&other=0,0"


def test_delete_is_one_click(come: Any) -> None:
    song = song_of(4)
    window = come(song)
    window.told("Kept for 1 hour after the last use.").wait_for()
    window.play()
    window.button("Delete now").click()
    window.told("This song was deleted from the server.").wait_for()
    assert song.is_deleted
    assert window.page.evaluate("window.changes") == [["changed", "deleted"]]
    assert window.studio.locator(".lanes").is_hidden()
    assert window.page.evaluate("contexts[0].state") in {"suspended", "running"}
    until(lambda: window.page.evaluate("contexts[0].state") == "suspended", "silence")


def test_a_studio_that_goes_away_releases_everything(come: Any) -> None:
    """Its audio context is closed and it asks no more; one that comes back at once goes on playing."""
    song = song_of(30, job={"state": "running", "share": 0.5}, ready_samples=20 * RATE)
    window = come(song)
    window.play()
    window.page.evaluate("async () => { disappear(); await appear(); }")
    until(lambda: window.status == "playing", "the studio in its new place")
    before = window.position
    until(lambda: window.position > before + 0.3, "playback without a pause")
    assert window.page.evaluate("contexts.map(({ state }) => state)") == ["running"]
    window.page.evaluate("() => { disappear(); document.querySelector('#place').replaceChildren(); }")
    until(lambda: window.page.evaluate("contexts[0].state") == "closed", "the end of the audio context")
    window.page.wait_for_timeout(500)
    n_requests = len(song.requests)
    window.page.wait_for_timeout(1_000)
    assert len(song.requests) == n_requests
    window.page.keyboard.press(" ")
    assert window.page.evaluate("contexts.length") == 1


def test_one_playback_at_a_time(come: Any) -> None:
    window = come(song_of(10))
    window.play()
    window.page.evaluate("document.dispatchEvent(new CustomEvent('mdx-playing', { detail: null }))")
    until(lambda: window.status == "paused", "silence when another player begins")


def test_decoded_sound_is_bounded(come: Any) -> None:
    """Of 20 minutes of two stems at 44.1 kHz, 400 MiB, 96 MiB are kept at most."""
    rate, seconds = 44_100, 240
    stems = {name: np.zeros((2, seconds * rate), np.float32) for name in ("vocals", "instrumental")}
    window = come(StandIn({"1": stems}, rate=rate))
    kept = window.page.evaluate(
        """async () => {
          const { Stretches } = await import("/studio/test/stretches.js");
          const address = (track, index) => `/song/token/1/play/${track}/${index}.flac`;
          const stretches = new Stretches(address, ["vocals", "instrumental"], 44100);
          const all = [...Array(48).keys()];
          for (const index of all) {
            stretches.want([index]);
            while (!stretches.get(index)) await new Promise((done) => stretches.addEventListener("loaded", done));
          }
          const present = all.filter((index) => stretches.get(index));
          stretches.close();
          return present;
        }"""
    )
    per_stretch = 2 * 2 * 4 * 5 * rate
    assert kept == list(range(48 - len(kept), 48)), "those used last"
    assert 80 << 20 < len(kept) * per_stretch <= 96 << 20


STATES: dict[str, dict[str, Any]] = {
    "waiting": {"result": None, "job": {"state": "waiting", "ahead": 1}},
    "running": {
        "ready_samples": 3 * RATE,
        "job": {"state": "running", "text": "Separating vocals", "share": 0.4, "left_seconds": 33},
    },
    "failed": {"result": None, "job": {"state": "failed", "message": "song.wav: truncated; export it again"}},
    "done": {"job": {"notes": ["The song has two channels that are the same."]}},
}


@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_axe_finds_nothing_serious_and_everything_fits(come: Any, screen: Screen) -> None:
    for name, changes in STATES.items():
        window = come(
            song_of(6, name="A rather long name of a song, as files have them (remastered)", **changes), screen
        )
        if name in {"done", "running"}:
            window.lane("vocals").wait_for()
            window.button("Mute drums").click()
            window.button("Solo bass").click()
            window.button("Loop").click()
        if name == "done":
            window.button("Log").click()
            window.lane("vocals").locator(".picture").wait_for()
        assert_accessible(window.page)
        assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        if name == "done":
            window.page.keyboard.press("?")
            window.page.get_by_role("dialog").wait_for()
            assert_accessible(window.page)


def test_a_phone_has_targets_for_fingers_and_equal_margins(come: Any) -> None:
    window = come(song_of(20), PHONE)
    window.lane("vocals").wait_for()
    window.button("Loop").click()
    script = """all => all.filter((one) => one.checkVisibility()).map((one) => {
      const { width, height, left, right } = one.getBoundingClientRect();
      return [one.ariaLabel || one.textContent, width, height, left, right];
    })"""
    targets = window.studio.locator("button, a, select, input, [role=slider]").evaluate_all(script)
    assert len(targets) > 30
    small = [row for row in targets if min(row[1:3]) < FINGER_PIXELS - 0.5]
    assert small == []
    for part in (".downloads", ".transport", ".tools", ".lanes"):
        box = window.studio.locator(part).bounding_box()
        assert box["x"] == pytest.approx(390 - box["x"] - box["width"], abs=1), part
    lane = window.lane("drums").locator(".stage")
    lane.scroll_into_view_if_needed()
    box = lane.bounding_box()
    window.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    until(lambda: window.position == pytest.approx(10, abs=0.3), "the playhead below the thumb")


def test_two_fingers_zoom(come: Any) -> None:
    window = come(song_of(40), PHONE)
    stage = window.lane("bass").locator(".stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    y, middle = box["y"] + box["height"] / 2, box["x"] + box["width"] / 2
    session = window.context.new_cdp_session(window.page)

    def touch(kind: str, *xs: float) -> None:
        points = [{"x": x, "y": y, "id": number} for number, x in enumerate(xs)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", middle - 20)
    touch("touchStart", middle - 20, middle + 20)
    for reach in range(25, 85, 5):
        touch("touchMove", middle - reach, middle + reach)
    touch("touchEnd")
    until(lambda: not window.button("Whole song").is_disabled(), "the zoom")
    window.page.touchscreen.tap(middle, y)
    until(lambda: window.position == pytest.approx(20, abs=1), "the middle stays in the middle")
    window.page.touchscreen.tap(box["x"] + 1, y)
    until(lambda: window.position == pytest.approx(15, abs=1), "a quarter of the song is visible")


def test_colours_follow_the_screen(come: Any) -> None:
    window = come(song_of(2))
    window.lane("bass").wait_for()
    body = window.studio.locator(".studio-body")
    assert body.get_attribute("data-scheme") == "light"
    colour = window.lane("bass").locator("canvas").evaluate("one => getComputedStyle(one).color")
    window.page.emulate_media(color_scheme="dark")
    until(lambda: body.get_attribute("data-scheme") == "dark", "the night")
    assert window.lane("bass").locator("canvas").evaluate("one => getComputedStyle(one).color") != colour
