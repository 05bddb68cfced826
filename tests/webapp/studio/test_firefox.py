"""The studio in Firefox: it mounts, draws, plays, and answers hands and keys without an error.

What is played is compared with the song in Chromium only: there the sound is recorded by an audio worklet, sample by
sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.firefox import Firefox, running_firefox
from tests.webapp.studio.stand_in import served
from tests.webapp.studio.studio_window import song_of

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

SPACE = "\ue00d"
ROOT = "document.querySelector('#place div').shadowRoot"
INK = f"""[...{ROOT}.querySelectorAll('.lane .wave canvas')].map((canvas) =>
  canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.filter((one) => one > 0).length)"""


@pytest.fixture(scope="module")
def firefox() -> Iterator[Firefox]:
    with running_firefox() as running:
        yield running


def test_the_studio_in_firefox(firefox: Firefox) -> None:
    def shown(what: str) -> Any:
        return firefox.evaluate(f"{ROOT}.{what}")

    def click(selector: str) -> None:
        x, y = firefox.evaluate(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
            f"({ROOT}.querySelector('{selector}').getBoundingClientRect())"
        )
        firefox.click(x, y)

    def pressed(selector: str) -> bool:
        return bool(shown(f"querySelector('{selector}').getAttribute('aria-pressed')") == "true")

    with served(song_of(6)) as address:
        firefox.size(1440, 900)
        firefox.open(address)
        firefox.until(f"{ROOT}?.querySelectorAll('.lane[data-track]').length === 5")
        firefox.until(f"({INK}).every((ink) => ink > 1000)")

        click(".play")
        firefox.until(f"['playing', 'blocked'].includes({ROOT}.querySelector('.transport').dataset.status)")
        is_playing = shown("querySelector('.transport').dataset.status") == "playing"
        if not is_playing:  # Firefox starts no audio clock without a sound device
            assert "did not start playback" in shown("querySelector('.told').textContent")
        firefox.press("m", "2")
        assert pressed(".lane[data-track=drums] .mute")
        click(".lane[data-track=vocals] .solo")
        assert pressed(".lane[data-track=vocals] .solo")
        if is_playing:
            firefox.press(SPACE)
            firefox.until(f"{ROOT}.querySelector('.transport').dataset.status === 'paused'")
        firefox.press("l")
        assert pressed(".loop")
        assert firefox.complaints == []
