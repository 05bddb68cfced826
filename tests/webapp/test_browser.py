"""The page in a real browser: headless Chromium against one server, with tiny networks, below a path as behind a proxy.

Skipped, with the reason, where there is no Chromium, no Playwright or no Streamlit; ``scripts/setup`` brings them
where it may. Screenshots of every state go to the folder that MDX_SCREENSHOTS names, where it is set.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from my_submission.stems import MUSIC_SOURCES
from tests.accessibility import SCREENS, Screen, assert_accessible, watched
from tests.audio_fixtures import noise, write_audio, write_media
from tests.page_server import PATIENCE_SECONDS, Server, running_page, until

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("streamlit", reason="Streamlit is not installed")

RATE = 44_100
QUIET = 10 ** (-90 / 20)
"""-90 dB of full scale."""

pytestmark = [pytest.mark.timeout(2_400), pytest.mark.slow]
ROW = {"bass": 6, "drums": 7, "other": 5, "vocals": 8, "song": 6.5}
SCORES = {
    "schema": 1,
    "dataset": "one song",
    "system": "a local run",
    "sources": list(MUSIC_SOURCES),
    "metrics": {"mdx": {"songs": {"one": ROW}, "mean": ROW}},
}


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs to upload."""
    folder = tmp_path_factory.mktemp("songs")
    seconds = 7
    time_ = np.arange(seconds * RATE) / RATE
    beat = noise(2, seconds * RATE, level=0.2) * (np.exp(-8 * (time_ % 0.5))).astype(np.float32)
    tone = 0.2 * np.sin(2 * np.pi * 220 * time_) + 0.1 * np.sin(2 * np.pi * 1_760 * time_)
    song = (beat + tone).astype(np.float32)
    write_audio(folder / "seven seconds.wav", song)
    write_audio(folder / "half a second.wav", song[:, : RATE // 2])
    write_media(folder / "two seconds.m4a", [song[:, : 2 * RATE]], codec="aac")
    write_audio(folder / "too long.wav", noise(1, 9 * 8_000), 8_000)
    (folder / "notes.txt").write_text("These are no sounds.\n" * 100)
    (folder / "nothing.wav").write_bytes(b"")
    (folder / "too large.wav").write_bytes(bytes(3 << 20))
    (folder / "broken.wav").write_bytes((folder / "seven seconds.wav").read_bytes()[:300_000])
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, songs: Path, tiny_models: Path) -> Iterator[Server]:
    scores = tmp_path_factory.mktemp("scores")
    (scores / "scores.json").write_text(json.dumps(SCORES))
    (scores / "broken-scores.json").write_text(json.dumps({**SCORES, "sources": 5}))
    limits = ["--max-upload", "2", "--max-duration", "8"]
    places = ["--scores", str(scores), "--samples", str(songs / "seven seconds.wav"), "--models-dir", str(tiny_models)]
    with running_page(tmp_path_factory.mktemp("page"), *limits, *places, base_path="/mdx") as running:
        yield running


IS_AT_REST = """() => {
  const shown = [document, ...[...document.querySelectorAll("*")].map((one) => one.shadowRoot).filter(Boolean)];
  return !document.querySelector("[data-stale=true], [data-testid=stSkeleton]")
    && shown.every((part) => part.getAnimations().every(({ playState }) => playState !== "running"));
}"""
"""Whether nothing is faded or moving: colours in between have too little contrast."""


@dataclass
class Visitor:
    """One visitor's window."""

    page: Any
    server: Server

    def open(self, path: str = "") -> None:
        self.page.goto(self.server.address + path)

    def shoot(self, name: str) -> None:
        """Keep a picture of a state, where someone wants to look at it."""
        if folder := os.environ.get("MDX_SCREENSHOTS"):
            self.page.wait_for_timeout(1_000)
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def upload(self, path: Path) -> None:
        """Drop a file on the page; its separation starts."""
        self.open()
        self.button("Upload").wait_for()
        self.page.locator("input[type=file]").set_input_files(path)

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def studio(self) -> Any:
        return self.page.locator(".studio")

    def lane(self, name: str) -> Any:
        return self.studio.locator(f".lane[data-track={name}]")

    def link(self, name: str) -> Any:
        """A link to a file, once there is one."""
        return self.studio.get_by_role("link", name=name, exact=True).and_(self.page.locator("[href]"))

    def plays(self) -> bool:
        return self.studio.locator(".transport[data-status=playing]").count() == 1

    def separated(self) -> None:
        """Wait for the stems; a message in their place fails the test."""
        alert = self.page.get_by_role("alert").filter(has_text=re.compile(".+"))
        self.link("All stems (ZIP)").or_(alert).first.wait_for()
        assert alert.all_inner_texts() == []

    def file(self, name: str) -> tuple[str, bytes]:
        """Name and content of a file that a link gives."""
        with self.page.expect_download() as download:
            self.link(name).click()
        return download.value.suggested_filename, Path(download.value.path()).read_bytes()

    @property
    def state(self) -> dict[str, Any]:
        """The song's state, as the page asks for it."""
        token = re.search("song=([0-9a-f]+)", self.page.url)
        assert token is not None, self.page.url
        answer = self.page.request.get(f"{self.server.address}/song/{token[1]}/state.json")
        return dict(answer.json()) if answer.ok else {"status": answer.status}


@pytest.fixture
def come(browser: Any, server: Server) -> Iterator[Callable[..., Visitor]]:
    """A visitor, with cookies of his own; the page may neither load from elsewhere nor report an error."""
    with contextlib.ExitStack() as stack:

        def visit(screen: Screen = SCREENS[0], *, allowed: str = "\0") -> Visitor:
            is_phone = screen.name == "phone"
            options = {"has_touch": is_phone, "is_mobile": is_phone}
            page = stack.enter_context(watched(browser, screen, server.address, allowed=allowed, **options))
            page.set_default_timeout(1_000 * PATIENCE_SECONDS)
            return Visitor(page, server)

        yield visit


def samples_of(content: bytes) -> np.ndarray:
    """Samples of a file as float64 (channels, samples)."""
    return np.asarray(soundfile.read(io.BytesIO(content), always_2d=True)[0].T)


def test_from_the_drop_to_the_files(come: Any, songs: Path) -> None:
    """The mix as heard equals the sum of the stems, with their gains and pans, to -90 dB; names are the song's."""
    visitor = come()
    visitor.upload(songs / "seven seconds.wav")
    visitor.studio.get_by_role("button", name="Play", exact=True).click()
    until(visitor.plays, "the first sound")
    visitor.separated()
    visitor.shoot("2-studio")
    visitor.studio.get_by_label("Format").select_option("wav-FLOAT")
    name, content = visitor.file("All stems (ZIP)")
    assert name == "seven seconds.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        stems = {stem: samples_of(archive.read(f"seven seconds/{stem}.wav")) for stem in MUSIC_SOURCES}
        assert "seven seconds/report.html" in archive.namelist()
    song = samples_of((songs / "seven seconds.wav").read_bytes())
    assert {wave.shape for wave in stems.values()} == {song.shape}

    visitor.studio.get_by_role("button", name="Mute drums").click()
    visitor.lane("vocals").get_by_label("Gain of vocals").fill("-6")
    visitor.lane("bass").get_by_label("Pan of bass").fill("-0.5")
    name, content = visitor.file("Mix as heard")
    assert name == "seven seconds - mix.wav"
    angle = np.pi / 4  # of equal power; the right channel of a sound on the left goes to both
    bass = np.stack([stems["bass"][0] + np.cos(angle) * stems["bass"][1], np.sin(angle) * stems["bass"][1]])
    expected = bass + stems["other"] + 10 ** (-6 / 20) * stems["vocals"]
    assert np.abs(samples_of(content) - expected).max() < QUIET
    name, content = visitor.file("Instrumental")
    assert name == "seven seconds - instrumental.wav"
    assert np.abs(samples_of(content) - stems["bass"] - stems["drums"] - stems["other"]).max() < QUIET
    name, content = visitor.file("Download vocals")
    assert name == "seven seconds - vocals.wav"
    np.testing.assert_array_equal(samples_of(content), stems["vocals"])

    visitor.studio.get_by_role("button", name="Log", exact=True).click()
    image = visitor.lane("vocals").locator("img")
    visitor.page.wait_for_function("i => i.complete && i.naturalWidth > 0", arg=image.element_handle())
    visitor.shoot("3-spectrograms")
    visitor.page.get_by_text("Scores", exact=True).click()
    visitor.page.wait_for_url(f"{visitor.server.address}/scores")


def test_a_song_has_an_address(come: Any, songs: Path) -> None:
    """A reload in the middle and after, the back button and another window come back to the song."""
    visitor = come()
    visitor.upload(songs / "seven seconds.wav")
    visitor.page.wait_for_url("**song=*")
    visitor.page.reload()
    visitor.studio.get_by_role("heading", name="seven seconds").wait_for()
    assert visitor.state["job"]["state"] in {"waiting", "running", "done"}
    visitor.separated()
    address = visitor.page.url
    visitor.page.reload()
    visitor.separated()
    assert visitor.state["result"]["version"] == "1", "nothing was separated again"
    visitor.button("Another song").click()
    visitor.button("Upload").wait_for()
    visitor.page.get_by_text("Your songs").wait_for()
    visitor.page.get_by_role("button", name="seven seconds").first.click()
    visitor.separated()
    stranger = come(allowed="404")  # of the song that is deleted while its page is open
    stranger.page.goto(address)
    stranger.separated()
    assert stranger.page.get_by_text("Your other songs").count() == 0
    visitor.studio.get_by_role("button", name="Delete now").click()
    visitor.button("Upload").wait_for()
    until(lambda: stranger.state == {"status": 404}, "the deletion")
    stranger.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # he comes back to the page
    stranger.button("Upload").wait_for()
    stranger.page.goto(address)
    stranger.page.get_by_text("This song is not on the server").wait_for()


def test_two_visitors_get_their_own_songs(come: Any, songs: Path) -> None:
    first, second = come(), come()
    first.upload(songs / "seven seconds.wav")
    first.page.wait_for_url("**song=*")
    second.upload(songs / "two seconds.m4a")
    for visitor, seconds in ((first, 7.0), (second, 2.0)):
        visitor.separated()
        assert visitor.state["song"]["seconds"] == pytest.approx(seconds, abs=0.06)
    second.open()
    second.page.get_by_role("button", name="two seconds").wait_for()
    assert second.page.get_by_role("button", name="seven seconds").count() == 0


def test_a_separation_is_stopped(come: Any, songs: Path) -> None:
    visitor = come()
    visitor.open()
    visitor.button("Use this sample").click()
    visitor.studio.get_by_role("button", name="Stop", exact=True).click()
    visitor.studio.get_by_text(re.compile("Stopping|Stopped")).first.wait_for()
    until(lambda: visitor.state["job"]["state"] in {"stopped", "done"}, "the end of the job")
    visitor.studio.get_by_text(re.compile("Stopped|All stems")).first.wait_for()
    visitor.shoot("4-stopped")
    visitor.button("Separate again").wait_for()


@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_everyone_can_use_the_page(come: Any, songs: Path, screen: Screen) -> None:
    """axe finds nothing serious or critical in the studio; the transport stays below the header when one scrolls."""
    visitor = come(screen)
    visitor.upload(songs / "half a second.wav")
    visitor.separated()
    visitor.page.get_by_text("Technical details").wait_for()  # the script has run again
    visitor.studio.locator(f".studio-body[data-scheme={screen.scheme}]").wait_for()
    visitor.page.wait_for_function(IS_AT_REST)
    assert_accessible(visitor.page, where="[data-testid=stBidiComponentIsolated]")
    visitor.shoot(f"5-everyone-{screen}")
    visitor.lane("other").scroll_into_view_if_needed()
    visitor.page.locator("[data-testid=stMain]").evaluate("one => one.scrollBy(0, 1000)")

    def stays() -> bool:
        header = visitor.page.locator("[data-testid=stHeader]").bounding_box()
        transport = visitor.studio.locator(".transport").bounding_box()
        return bool(header["y"] + header["height"] - 1 <= transport["y"] < screen.height / 2)

    until(stays, "the transport below the header")


BAD = {
    "too large.wav": r"must be 2(\.0)? ?MB or smaller",  # Streamlit's own words, refused in the browser already
    "too long.wav": "longer than the limit of 8 s",
    "broken.wav": "truncated",
    "notes.txt": "not a supported audio file|cannot be read|not audio",
    "nothing.wav": "empty",
}


def test_bad_uploads_are_refused_with_a_message(come: Any, songs: Path) -> None:
    visitor = come()
    for name, message in BAD.items():
        visitor.upload(songs / name)
        told = visitor.page.get_by_text(re.compile(message)).first
        told.wait_for()
        assert told.bounding_box()["width"] > 100, "the message can be read"
        visitor.shoot(f"6-{name.partition('.')[0].replace(' ', '-')}")
        assert "song=" not in visitor.page.url


def test_scores_stand_among_the_boards(come: Any) -> None:
    visitor = come()
    visitor.open("/scores")
    visitor.page.get_by_text("MDXDB21 is hidden").wait_for()
    visitor.page.get_by_text(re.compile("broken-scores.json: ")).wait_for()
    chart = visitor.page.locator("[data-testid=stVegaLiteChart] svg").first
    chart.get_by_text("overall, dB").wait_for()
    visitor.page.get_by_role("radio", name="vocals").click()
    chart.get_by_text("vocals, dB").wait_for()
    chart.get_by_text("a local run").wait_for()
    visitor.shoot("8-scores")


def test_no_other_server_holds_the_page_in_a_frame(come: Any, server: Server) -> None:
    visitor = come(allowed="frame-ancestors")
    visitor.page.set_content(f'<iframe src="{server.address}"></iframe>')
    until(lambda: visitor.page.frames[1].url.startswith("chrome-error:"), "the refusal")
