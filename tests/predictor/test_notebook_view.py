"""Separations and reports as HTML for notebooks: players that hold the stems, escaped names, small sizes."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import av
import numpy as np
import pytest

from my_submission.predictor import Separation, SeparationReport
from my_submission.predictor import notebook_view as view
from tests.audio_fixtures import noise, sines

HOSTILE = '<img src=x onerror="a()">&'
RATE = 44_100


class Elements(HTMLParser):
    """Tags of a piece of HTML, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def report(**more: object) -> SeparationReport:
    plain = SeparationReport(HOSTILE, RATE, RATE, (), 2.0, None, 0, {}, {}, input_path=f"{HOSTILE}.mp3")
    return replace(plain, **more)


def decoded_seconds(address: str) -> float:
    with av.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def test_a_separation_is_a_table_of_waveforms_and_players() -> None:
    stems = {"vocals": sines(RATE, RATE), HOSTILE: noise(2, RATE)}
    html = Separation(stems, RATE, report(), {})._repr_html_()
    found = Elements(html)
    assert [found.tags.count(tag) for tag in ("tr", "svg", "audio", "img", "script")] == [2, 2, 2, 0, 0]
    assert {"vocals", HOSTILE} <= set(found.words)
    for address in re.findall(r'src="(data:[^"]*)"', html):
        assert decoded_seconds(address) == pytest.approx(1.0, abs=0.05)
    assert len(html) < 100_000


def test_players_hold_the_first_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "PLAYER_SECONDS", 0.5)
    (address,) = re.findall(r'src="(data:[^"]*)"', view.stems_html({"bass": noise(2, RATE)}, RATE, title=""))
    assert decoded_seconds(address) == pytest.approx(0.5, abs=0.05)


def test_without_an_encoder_the_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "has_listening_copies", lambda: False)
    html = view.stems_html({"bass": noise(2, 100)}, RATE, title="a < b")
    assert "no Opus encoder" in html
    assert "<audio" not in html
    assert "a &lt; b" in html


@pytest.mark.parametrize("wave", [np.zeros((2, 0)), np.zeros((2, 1)), np.full((2, 9), np.nan), 9 * np.ones((1, 9))])
def test_waveforms_of_odd_stems_stay_inside_their_picture(wave: np.ndarray) -> None:
    picture = view._picture("bass", wave.astype(np.float32))
    heights = [float(pair.split()[1]) for path in re.findall(r'd="M([^"]*)Z"', picture) for pair in path.split("L")]
    assert all(abs(height) <= 1.01 for height in heights)
    assert bool(heights) == bool(wave.size)


def test_a_report_is_a_table_with_escaped_names() -> None:
    found = Elements(report(notes=(HOSTILE,), left_out=("demucs left out",))._repr_html_())
    assert set(found.tags) == {"table", "tr", "th", "td"}
    assert {HOSTILE, f"{HOSTILE}.mp3", "demucs left out"} <= set(found.words)
