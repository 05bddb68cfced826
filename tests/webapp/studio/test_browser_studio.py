"""The studio in a real browser, with synthetic stems from a stand-in server: what is heard is recorded and compared."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from my_submission.stems import Stems, Waveform
from tests.audio_fixtures import noise
from tests.page_server import until
from tests.webapp.browser import SCHEMES, SCREENS, Window, opened_window, running_browser
from tests.webapp.studio.stand_in import StandIn, served

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

RATE = 16_000
STRETCH = 3 * RATE // 2
STEMS = ("bass", "drums", "other", "vocals")
ONE_STEP = 2 ** -14
"""A step of a 16-bit file at half level, twice: the most that rounding may change a stem."""

pytestmark = pytest.mark.timeout(1_200)

SPY = """
window.contexts = [];
window.recorded = [];
window.shown = [];
const Original = window.AudioContext;
window.AudioContext = class extends Original {
  constructor(options) {
    super(options);
    window.contexts.push(this);
    this.suspend();
    this.recorder = this.audioWorklet.addModule("/recorder.js").then(() => {
      const node = new AudioWorkletNode(this, "recorder", { numberOfInputs: 1, numberOfOutputs: 0 });
      node.port.onmessage = ({ data }) => window.recorded.push(data);
      return node;
    });
  }
  async resume() {
    await this.recorder;
    await super.resume();
  }
};
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target === this.context.destination) this.context.recorder.then((node) => connect.call(this, node));
  return connect.call(this, target, ...rest);
};
"""
"""Records what any audio context plays, from its first frame on."""

TAKE = """() => {
  const blocks = window.recorded;
  const [first, last] = [blocks[0], blocks[blocks.length - 1]];
  const length = last.frame + last.left.length - first.frame;
  const both = new Float32Array(2 * length);
  for (const { frame, left, right } of blocks) {
    both.set(left, frame - first.frame);
    both.set(right, length + frame - first.frame);
  }
  const bytes = new Uint8Array(both.buffer);
  let text = "";
  for (let from = 0; from < bytes.length; from += 8192) {
    text += String.fromCharCode(...bytes.subarray(from, from + 8192));
  }
  return [first.frame, btoa(text)];
}"""
"""The first frame that was recorded, and the sound since; blocks in which nothing was connected are silence."""


class Desk(Window):
    """A window with the studio of a stand-in song."""

    song: StandIn

    @property
    def studio(self) -> Any:
        return self.page.locator(".studio")

    def button(self, name: str) -> Any:
        return self.studio.get_by_role("button", name=name, exact=True)

    def lane(self, name: str) -> Any:
        return self.studio.locator(f".lane[data-track={name}]")

    @property
    def status(self) -> str:
        return str(self.studio.locator(".transport").get_attribute("data-status"))

    @property
    def position(self) -> float:
        """Position in seconds, as the playhead in the transport shows it."""
        style = self.studio.locator(".overview .playhead").get_attribute("style") or "translateX(0%)"
        return float(style.split("(")[1].split("%")[0]) / 100 * self.song.samples / self.song.rate

    def play(self) -> None:
        self.button("Play").click()
        until(lambda: self.status == "playing", "sound")

    def heard(self) -> tuple[int, Waveform]:
        """The first frame of the clock that was recorded, and what was played since."""
        first, text = self.page.evaluate(TAKE)
        return first, np.frombuffer(base64.b64decode(text), "<f4").reshape(2, -1)

    def listen(self, seconds: float) -> Waveform:
        """What is played in the next seconds."""
        self.page.evaluate("() => { window.recorded.length = 0; }")
        self.page.wait_for_function(
            "n => window.recorded.reduce((sum, { left }) => sum + left.length, 0) > n", arg=seconds * self.song.rate
        )
        return self.heard()[1]


def stems_of(seconds: float, *, rate: int = RATE, names: tuple[str, ...] = STEMS, seed: int = 0) -> Stems:
    """Noise, so that every moment of every stem can be told from all others."""
    return {
        name: noise(2, round(seconds * rate), level=0.1, seed=seed + row).astype(np.float32)
        for row, name in enumerate(names)
    }


def places(heard: Waveform, song: Waveform, *, block: int = 256) -> tuple[int, int]:
    """Return where the sound begins in a recording, and which sample of the song that is."""
    loud = np.flatnonzero(np.abs(heard).max(axis=0) > 0)
    assert len(loud), "silence"
    begin = int(loud[0]) + 200  # beyond a fade
    piece = heard[0, begin : begin + block].astype(float)
    likeness = np.correlate(song[0].astype(float), piece, "valid")
    return begin, int(likeness.argmax())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_browser() as running:
        yield running


@pytest.fixture
def come(browser: Any) -> Iterator[Callable[..., Desk]]:
    with contextlib.ExitStack() as stack:

        def open_studio(song: StandIn, *, screen: str = "desktop", scheme: str = "light") -> Desk:
            address = stack.enter_context(served(song))
            window = stack.enter_context(opened_window(browser, address, screen=screen, scheme=scheme))
            window.__class__ = Desk
            window.song = song
            window.page.add_init_script(SPY)
            window.page.goto(address)
            window.page.locator(".studio h2").get_by_text(song.name).wait_for()
            return window

        yield open_studio


def song_of(seconds: float, **changes: Any) -> StandIn:
    stems = stems_of(seconds)
    return StandIn({"1": stems}, **{"rate": RATE, "stretch_samples": STRETCH, **changes})


def test_all_stems_play_in_step_without_gaps(come: Any) -> None:
    """Three stretches, none of which may be late by a single sample: the sum of four stems, to their rounding."""
    song = song_of(6)
    desk = come(song)
    desk.play()
    until(lambda: desk.position > 3, "three seconds")
    _, heard = desk.heard()
    mixture = song.track("mixture")
    begin, at = places(heard, mixture)
    n = min(heard.shape[1] - begin, 3 * RATE)
    assert n > 2 * RATE
    np.testing.assert_allclose(heard[:, begin : begin + n], mixture[:, at : at + n], atol=4 * ONE_STEP)


def test_a_loop_is_exact_to_the_sample(come: Any) -> None:
    """Three turns of a region whose edges lie within stretches."""
    song = song_of(3, stretch_samples=RATE)
    desk = come(song)
    stage = desk.lane("bass").locator(".stage").bounding_box()
    y = stage["y"] + stage["height"] / 2
    desk.page.mouse.move(stage["x"] + 0.21 * stage["width"], y)
    desk.page.mouse.down()
    desk.page.mouse.move(stage["x"] + 0.47 * stage["width"], y, steps=3)
    desk.page.mouse.up()
    desk.studio.get_by_text("Loop 0:00.").wait_for()
    desk.play()
    desk.page.wait_for_timeout(2_800)
    _, heard = desk.heard()
    mixture = song.track("mixture")
    begin, at = places(heard, mixture)
    rest = heard[:, begin:]
    first = same(rest, mixture[:, at:])  # up to the end of the region; its start follows from what comes then
    end = at + first
    _, start = places(rest[:, first - 200 :], mixture)
    order = start + (np.arange(rest.shape[1]) - first) % (end - start)
    order[:first] = at + np.arange(first)
    np.testing.assert_allclose(rest, mixture[:, order], atol=4 * ONE_STEP)
    assert rest.shape[1] > first + 2 * (end - start)
    assert [start, end] == pytest.approx([0.21 * 3 * RATE, 0.47 * 3 * RATE], abs=0.003 * 3 * RATE)


def same(heard: Waveform, song: Waveform) -> int:
    """Return how many samples of a recording equal the song's from its beginning on."""
    n = min(heard.shape[1], song.shape[1])
    return int(np.flatnonzero(np.abs(heard[0, :n] - song[0, :n]) > 8 * ONE_STEP)[0])


def test_the_playhead_is_where_the_sound_is(come: Any) -> None:
    """Within 20 ms in the frames of two seconds, but for one in twenty that a busy machine draws late.

    The clock is read as soon as the playhead was moved; the sound's place is found in the recording.
    """
    song = song_of(8)
    desk = come(song)
    desk.play()
    desk.page.evaluate(
        """() => {
          const [context] = window.contexts;
          const playhead = document.querySelector("#place div").shadowRoot.querySelector(".overview .playhead");
          new MutationObserver(() => {
            const latency = context.outputLatency || context.baseLatency;
            window.shown.push([context.currentTime - latency, playhead.style.transform]);
          }).observe(playhead, { attributes: true });
        }"""
    )
    until(lambda: desk.position > 2.5, "two seconds")
    first, heard = desk.heard()
    begin, at = places(heard, song.track("mixture"))
    shown = desk.page.evaluate("() => window.shown")
    sounds = (first + begin) / RATE
    errors = []
    for seconds, transform in shown:
        playhead = float(transform.split("(")[1].split("%")[0]) / 100 * song.samples / RATE
        if playhead > 0.1:
            errors.append(playhead - (at / RATE + seconds - sounds))
    assert len(errors) > 20
    assert np.quantile(np.abs(errors), 0.95) < 0.020
