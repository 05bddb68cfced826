"""The page in a real browser: headless Chromium against a server of its own, with the starter's own networks.

Skipped, with the reason, where there is no Chromium, no Playwright or no Streamlit; ``scripts/setup`` brings them
where it may. Screenshots of every state go to the folder that MDX_SCREENSHOTS names, where it is set.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from my_submission.stems import MUSIC_SOURCES
from tests.audio_fixtures import noise, write_audio, write_media
from tests.page_server import PATIENCE_SECONDS, Server, running_page, until

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("streamlit", reason="Streamlit is not installed")

RATE = 44_100

pytestmark = pytest.mark.timeout(2_400)
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
ROW = {"bass": 6, "drums": 7, "other": 5, "vocals": 8, "song": 6.5}
SCORES = {
    "schema": 1,
    "dataset": "one song",
    "system": "a local run",
    "sources": list(MUSIC_SOURCES),
    "metrics": {"mdx": {"songs": {"one": ROW}, "mean": ROW}},
}
TRACKS = ("mixture", *MUSIC_SOURCES)


def chromium() -> str:
    """Path of a Chromium; skips the tests where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is installed")
    return found


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs to upload; the wide one has a sample beyond full scale."""
    folder = tmp_path_factory.mktemp("songs")
    time_ = np.arange(3 * RATE) / RATE
    beat = noise(2, 3 * RATE, level=0.2) * (np.exp(-8 * (time_ % 0.5))).astype(np.float32)
    tone = 0.2 * np.sin(2 * np.pi * 220 * time_) + 0.1 * np.sin(2 * np.pi * 1_760 * time_)
    song = (beat + tone).astype(np.float32)
    write_audio(folder / "three seconds.wav", song)
    write_audio(folder / "half a second.wav", song[:, : RATE // 2])
    write_media(folder / "two seconds.m4a", [song[:, : 2 * RATE]], codec="aac")
    write_audio(folder / "too long.wav", noise(1, 9 * 8_000), 8_000)
    (folder / "too large.wav").write_bytes(bytes(3 << 20))
    (folder / "broken.wav").write_bytes((folder / "three seconds.wav").read_bytes()[:300_000])
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, songs: Path) -> Iterator[Server]:
    chromium()
    scores = tmp_path_factory.mktemp("scores")
    (scores / "scores.json").write_text(json.dumps(SCORES))
    (scores / "broken-scores.json").write_text(json.dumps({**SCORES, "sources": 5}))
    limits = ["--max-upload", "2", "--max-duration", "8", "--grace", "0.2"]
    places = ["--scores", str(scores), "--samples", str(songs / "three seconds.wav")]
    with running_page(tmp_path_factory.mktemp("page"), *limits, *places) as running:
        yield running


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield running
        running.close()


@dataclass
class Visitor:
    """One visitor's window."""

    page: Any
    context: Any
    server: Server
    outside: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def open(self, path: str = "") -> None:
        self.page.goto(self.server.address + path)

    def shoot(self, name: str, *, height: int = 900) -> None:
        """Keep a picture of a state, where someone wants to look at it."""
        if folder := os.environ.get("MDX_SCREENSHOTS"):
            self.page.set_viewport_size({"width": 1280, "height": height})
            self.page.wait_for_timeout(1_500)
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def note(self, text: str) -> None:
        """Keep what the browser's console says of the content security policy."""
        if "Content Security Policy" in text or "Content-Security-Policy" in text:
            self.violations.append(text)

    def upload(self, path: Path) -> None:
        self.page.locator("input[type=file]").set_input_files(path)

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    def track(self, name: str) -> Any:
        return self.page.locator(f".track[data-track={name}]")

    def stems(self) -> None:
        """Wait for the stems; what the page says instead fails the test."""
        alert = self.page.get_by_role("alert")
        self.track("mixture").or_(alert).first.wait_for()
        assert alert.all_inner_texts() == []

    def level(self, name: str) -> float:
        """What the mixer's meter of a stem shows."""
        return float(self.page.locator(f".strip[data-strip={name}]").get_attribute("data-level"))

    def plays(self, audio: Any) -> bool:
        """Whether a player comes forward; it is left paused."""
        audio.evaluate("audio => audio.play()")
        self.page.wait_for_function("a => a.currentTime > 0.05", arg=audio.element_handle())
        audio.evaluate("audio => audio.pause()")
        return bool(audio.evaluate("audio => audio.error === null"))


@pytest.fixture
def new_visitor(browser: Any, server: Server) -> Iterator[Any]:
    visitors = []

    def come(place: Server = server) -> Visitor:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
        context.set_default_timeout(1_000 * PATIENCE_SECONDS)
        visitor = Visitor(context.new_page(), context, place)
        origin = f"http://127.0.0.1:{place.port}"
        own = (origin, origin.replace("http", "ws"), "data:", "blob:")
        note = visitor.outside.append
        context.on("request", lambda request: None if request.url.startswith(own) else note(request.url))
        context.on("console", lambda message: visitor.note(message.text))
        visitors.append(visitor)
        return visitor

    yield come
    for visitor in visitors:
        visitor.context.close()
        assert visitor.outside == [], "something was fetched from elsewhere"
        assert visitor.violations == [], "the page does what its own policy forbids"


def separated(visitor: Visitor, path: Path) -> None:
    """A visitor uploads a song and waits for its stems."""
    visitor.open()
    visitor.upload(path)
    visitor.button("Separate").click()
    visitor.stems()


@pytest.mark.slow
def test_a_wav_from_upload_to_download(new_visitor: Any, server: Server, songs: Path) -> None:
    visitor = new_visitor()
    page = visitor.page
    visitor.open()
    visitor.button("Upload").wait_for()
    visitor.shoot("1-start")
    visitor.upload(songs / "three seconds.wav")
    visitor.button("Separate").wait_for()
    visitor.shoot("2-chosen")
    visitor.button("Separate").click()
    visitor.button("Stop").wait_for()
    visitor.shoot("3-running")
    visitor.stems()
    assert page.locator(".track").evaluate_all("all => all.map(one => one.dataset.track)") == list(TRACKS)
    for name in TRACKS:
        assert visitor.plays(visitor.track(name).locator("audio"))
        image = visitor.track(name).locator("img")
        page.wait_for_function("i => i.complete && i.naturalWidth === 1320", arg=image.element_handle())
    visitor.shoot("4-stems", height=2_700)

    page.get_by_role("radio", name="linear").click()
    page.wait_for_function("i => i.src.includes('/linear/') && i.complete", arg=image.element_handle())
    with page.expect_download() as download:
        visitor.track("vocals").get_by_text("Download").click()
    info = soundfile.info(download.value.path())
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (3 * RATE, RATE, 2, "PCM_16")
    assert download.value.suggested_filename == "three seconds - vocals.wav"

    folder = next(server.scratch.glob("mdx-page-*/*/stems")).parent
    assert page.context.pages == [page]
    visitor.context.close()
    until(lambda: not folder.exists(), "the end of the session")


@pytest.mark.slow
def test_the_mixer_mutes_solos_and_plays_in_step(new_visitor: Any, songs: Path) -> None:
    """An M4A; the stems' levels are read from the audio graph behind each gain."""
    visitor = new_visitor()
    separated(visitor, songs / "two seconds.m4a")
    page = visitor.page
    audio = page.locator(".mixer audio")
    audio.evaluate("audio => { audio.loop = true; }")
    page.get_by_label("play the mix").click()
    until(lambda: all(visitor.level(name) > 0 for name in MUSIC_SOURCES), "sound from every stem")
    page.get_by_label("mute bass").click()
    until(lambda: visitor.level("bass") < 1e-4 < visitor.level("drums"), "the muting of the bass")
    page.get_by_label("solo vocals").click()
    others = [name for name in MUSIC_SOURCES if name != "vocals"]
    until(lambda: all(visitor.level(name) < 1e-4 for name in others) and visitor.level("vocals") > 1e-4, "the solo")
    visitor.shoot("5-mixer")
    page.get_by_label("gain vocals").fill("-40")
    until(lambda: visitor.level("vocals") < 1e-4, "the turning down")
    assert visitor.plays(visitor.track("drums").locator("audio"))
    assert audio.evaluate("audio => audio.paused"), "what starts to play stops the others"
    with page.expect_download() as download:
        page.get_by_text("Download all stems").click()
    assert download.value.suggested_filename == "two seconds.zip"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("too large.wav", r"must be 2(\.0)? ?MB or smaller"),  # Streamlit's own words, refused in the browser already
        ("too long.wav", "longer than the limit of 8 s"),
        ("broken.wav", "truncated"),
    ],
)
def test_bad_uploads_are_refused_with_a_message(
    new_visitor: Any, server: Server, songs: Path, name: str, message: str
) -> None:
    visitor = new_visitor()
    visitor.open()
    visitor.upload(songs / name)
    told = visitor.page.get_by_text(re.compile(message)).first
    told.wait_for()
    assert told.bounding_box()["width"] > 100, "the message can be read"
    visitor.shoot(f"6-{name.partition('.')[0].replace(' ', '-')}")
    assert visitor.button("Separate").count() == 0


@pytest.mark.slow
def test_two_visitors_get_their_own_songs(new_visitor: Any, songs: Path) -> None:
    first, second = new_visitor(), new_visitor()
    paths = (songs / "three seconds.wav", songs / "two seconds.m4a")
    for visitor, path in zip((first, second), paths, strict=True):
        visitor.open()
        visitor.upload(path)
        visitor.button("Separate").wait_for()
    for visitor in (first, second):
        visitor.button("Separate").click()
    seconds, addresses = [], []
    for visitor in (first, second):
        audio = visitor.track("vocals").locator("audio")
        audio.wait_for()
        visitor.page.wait_for_function("a => a.duration > 0", arg=audio.element_handle())
        seconds.append(audio.evaluate("audio => audio.duration"))
        addresses.append(audio.get_attribute("src"))
    assert seconds == [pytest.approx(3.0, abs=0.01), pytest.approx(2.0, abs=0.06)]
    assert addresses[0] != addresses[1]
    first.button("Another song").click()
    first.button("Upload").wait_for()
    first.page.reload()
    answer = second.context.request.get(second.server.address + addresses[1])
    assert answer.ok
    assert soundfile.info(io.BytesIO(answer.body())).duration == pytest.approx(2.0, abs=0.06)
    assert second.context.request.get(first.server.address + addresses[0]).status == 404


@pytest.mark.slow
def test_a_separation_is_stopped(new_visitor: Any, server: Server, songs: Path) -> None:
    visitor = new_visitor()
    visitor.open()
    visitor.button("Use this sample").click()
    visitor.button("Separate").click()
    visitor.button("Stop").click()
    visitor.page.get_by_text("There are no stems").or_(visitor.track("mixture")).first.wait_for()
    visitor.shoot("7-stopped")


def test_scores_stand_among_the_boards(new_visitor: Any) -> None:
    visitor = new_visitor()
    visitor.open("/scores")
    visitor.page.get_by_text("MDXDB21 is hidden").wait_for()
    visitor.page.get_by_text(re.compile("broken-scores.json: ")).wait_for()
    chart = visitor.page.locator("[data-testid=stVegaLiteChart] svg").first
    chart.get_by_text("overall, dB").wait_for()
    visitor.page.get_by_role("radio", name="vocals").click()
    chart.get_by_text("vocals, dB").wait_for()
    chart.get_by_text("a local run").wait_for()
    visitor.shoot("8-scores", height=1_900)


def test_no_other_server_holds_the_page_in_a_frame(new_visitor: Any, server: Server) -> None:
    visitor = new_visitor()
    visitor.page.set_content(f'<iframe src="{server.address}"></iframe>')
    until(lambda: visitor.page.frames[1].url.startswith("chrome-error:"), "the refusal")
    assert "frame-ancestors" in " ".join(visitor.violations)
    visitor.violations.clear()


@pytest.mark.slow
def test_the_page_works_below_a_path(new_visitor: Any, tmp_path: Path, songs: Path) -> None:
    words = ["--samples", str(songs / "half a second.wav"), "--max-upload", "2", "--grace", "0.2"]
    with running_page(tmp_path, *words, base_path="/mdx") as server:
        visitor = new_visitor(server)
        separated(visitor, songs / "half a second.wav")
        image = visitor.track("vocals").locator("img")
        visitor.page.wait_for_function("i => i.complete && i.naturalWidth === 1320", arg=image.element_handle())
        assert image.get_attribute("src").startswith("/mdx/song/")
        assert visitor.plays(visitor.track("drums").locator("audio"))
        with visitor.page.expect_download() as download:
            visitor.track("vocals").get_by_text("Download").click()
        assert soundfile.info(download.value.path()).samplerate == RATE
        visitor.page.get_by_text("Scores", exact=True).click()
        visitor.page.wait_for_url(f"{server.address}/scores")
        visitor.context.close()
