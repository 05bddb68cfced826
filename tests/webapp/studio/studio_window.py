"""A window with the studio of a stand-in song: its controls, and a recording of what it plays."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from my_submission.stems import Stems, Waveform
from tests.audio_fixtures import noise
from tests.page_server import until
from tests.webapp.studio.stand_in import StandIn

RATE = 16_000
STRETCH = 3 * RATE // 2
STEMS = ("bass", "drums", "other", "vocals")
ONE_STEP = 2**-14
"""A step of a 16-bit file at half level, twice: the most that rounding may change a stem."""


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
  const { frame: first } = blocks[0];
  let length = 0;
  const places = blocks.map(({ frame, left }) => {
    const at = Math.max(length, frame - first);
    length = at + left.length;
    return at;
  });
  const both = new Float32Array(2 * length);
  blocks.forEach(({ left, right }, index) => {
    both.set(left, places[index]);
    both.set(right, length + places[index]);
  });
  const bytes = new Uint8Array(both.buffer);
  let text = "";
  for (let from = 0; from < bytes.length; from += 8192) {
    text += String.fromCharCode(...bytes.subarray(from, from + 8192));
  }
  return [first, btoa(text)];
}"""
"""The first frame that was recorded, and the sound since; blocks in which nothing was connected are silence.

Chromium sometimes gives two blocks in a row the same frame; the second one comes after the first.
"""


@dataclass
class StudioWindow:
    """A window with the studio of a stand-in song."""

    page: Any
    song: StandIn

    @property
    def context(self) -> Any:
        return self.page.context

    @property
    def studio(self) -> Any:
        return self.page.locator(".studio")

    def told(self, text: str) -> Any:
        """What the studio shows with a text, without what only screen readers are told."""
        return self.studio.locator(".studio-body > :not(.announcer)").get_by_text(text)

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


def song_of(seconds: float, **changes: Any) -> StandIn:
    stems = stems_of(seconds)
    return StandIn({"1": stems}, **{"rate": RATE, "stretch_samples": STRETCH, **changes})
