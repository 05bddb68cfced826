"""What the studio plays, in a real browser with synthetic stems: the sound is recorded and compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from my_submission.stems import Waveform
from tests.page_server import until
from tests.webapp.studio.stand_in import StandIn
from tests.webapp.studio.studio_window import ONE_STEP, RATE, STRETCH, StudioWindow, song_of, stems_of

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

pytestmark = [pytest.mark.timeout(1_200), pytest.mark.slow]


def places(heard: Waveform, song: Waveform, *, block: int = 256) -> tuple[int, int]:
    """Return where the sound begins in a recording, and which sample of the song that is."""
    loud = np.flatnonzero(np.abs(heard).max(axis=0) > 0)
    assert len(loud), "silence"
    begin = int(loud[0]) + 200  # beyond a fade
    piece = heard[0, begin : begin + block].astype(float)
    likeness = np.correlate(song[0].astype(float), piece, "valid")
    return begin, int(likeness.argmax())


def test_all_stems_play_in_step_without_gaps(come: Any) -> None:
    """Three stretches, none of which may be late by a single sample: the sum of four stems, to their rounding."""
    song = song_of(6)
    window = come(song)
    window.play()
    heard = window.listen(3)
    mixture = song.track("mixture")
    begin, at = places(heard, mixture)
    n = heard.shape[1] - begin
    assert n > 2 * RATE
    np.testing.assert_allclose(heard[:, begin : begin + n], mixture[:, at : at + n], atol=4 * ONE_STEP)


def test_a_loop_is_exact_to_the_sample(come: Any) -> None:
    """Three turns of a region whose edges lie within stretches."""
    song = song_of(3, stretch_samples=RATE)
    window = come(song)
    stage = window.lane("bass").locator(".stage").bounding_box()
    y = stage["y"] + stage["height"] / 2
    window.page.mouse.move(stage["x"] + 0.21 * stage["width"], y)
    window.page.mouse.down()
    window.page.mouse.move(stage["x"] + 0.47 * stage["width"], y, steps=3)
    window.page.mouse.up()
    window.told("Loop 0:00.").wait_for()
    window.play()
    window.listen(0.9)
    heard = window.listen(2.5)
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
    window = come(song)
    window.play()
    window.page.evaluate(
        """() => {
          const [context] = window.contexts;
          const playhead = document.querySelector("#place div").shadowRoot.querySelector(".overview .playhead");
          new MutationObserver(() => {
            const latency = context.outputLatency || context.baseLatency;
            window.shown.push([context.currentTime - latency, playhead.style.transform]);
          }).observe(playhead, { attributes: true });
        }"""
    )
    until(lambda: window.position > 2.5, "two seconds")
    first, heard = window.heard()
    begin, at = places(heard, song.track("mixture"))
    shown = window.page.evaluate("() => window.shown")
    sounds = (first + begin) / RATE
    errors = []
    for seconds, transform in shown:
        playhead = float(transform.split("(")[1].split("%")[0]) / 100 * song.samples / RATE
        if playhead > 0.1:
            errors.append(playhead - (at / RATE + seconds - sounds))
    assert len(errors) > 20
    assert np.quantile(np.abs(errors), 0.95) < 0.020


def settled(window: StudioWindow, seconds: float = 0.3) -> Waveform:
    """What is played once a change of level has come through."""
    window.listen(0.2)
    return window.listen(seconds)


def parts(heard: Waveform, song: StandIn, version: str = "1") -> dict[str, np.ndarray]:
    """Return the matrix (output channels, input channels) with which each stem is part of a recording."""
    stems = song.stems[version]
    at = max(
        (places_of(heard, wave) for wave in stems.values()),
        key=lambda place: place[1],
    )[0]
    n = heard.shape[1]
    rows = np.concatenate([wave[:, at : at + n] for wave in stems.values()]).astype(float)
    found = np.linalg.lstsq(rows.T, heard[:, : rows.shape[1]].T.astype(float), rcond=None)[0].T
    return {name: found[:, 2 * row : 2 * row + 2] for row, name in enumerate(stems)}


def places_of(heard: Waveform, wave: Waveform) -> tuple[int, float]:
    """Return the sample of a stem at which a recording begins, and how much they are alike there."""
    n = len(wave[0])
    likeness = np.fft.irfft(np.fft.rfft(wave[0], 2 * n) * np.conj(np.fft.rfft(heard[0], 2 * n)))[:n]
    return int(np.abs(likeness).argmax()), float(np.abs(likeness).max())


def panned(pan: float) -> np.ndarray:
    """Return the equal-power law of Web Audio for stereo, as a matrix (output channels, input channels)."""
    angle = (pan + 1 if pan <= 0 else pan) * np.pi / 2
    near, far = np.sin(angle), np.cos(angle)
    return np.array([[1, far], [0, near]]) if pan <= 0 else np.array([[far, 0], [near, 1]])


def test_mute_solo_gain_and_pan_are_heard(come: Any) -> None:
    """How loud each stem is in the recording, by least squares, to 0.1 %."""
    song = song_of(20, stretch_samples=5 * RATE)
    window = come(song)
    window.play()
    silent, whole = np.zeros((2, 2)), np.eye(2)
    window.button("Mute drums").click()
    assert window.button("Mute drums").get_attribute("aria-pressed") == "true"
    found = parts(settled(window), song)
    for name, expected in {"bass": whole, "drums": silent, "other": whole, "vocals": whole}.items():
        np.testing.assert_allclose(found[name], expected, atol=1e-3, err_msg=name)
    window.button("Solo vocals").click()
    window.lane("vocals").get_by_label("Gain of vocals").fill("-6")
    window.lane("vocals").get_by_label("Pan of vocals").fill("-0.5")
    found = parts(settled(window), song)
    expected = 10 ** (-6 / 20) * panned(-0.5)
    np.testing.assert_allclose(found["vocals"], expected, atol=1e-3)
    np.testing.assert_allclose(found["bass"], silent, atol=1e-3)
    assert "R" not in window.lane("vocals").inner_text()
    assert "−6.0 dB" in window.lane("vocals").inner_text()
    window.button("Reset").click()
    found = parts(settled(window), song)
    np.testing.assert_allclose(list(found.values()), [whole] * 4, atol=1e-3)


def test_presets_and_the_original(come: Any) -> None:
    song = song_of(20, stretch_samples=5 * RATE)
    window = come(song)
    window.play()
    presets = window.studio.locator(".preset").all_inner_texts()
    assert presets == ["All", "Karaoke", "A cappella", "Drumless", "Bassless"]
    silent_stems = {"Karaoke": {"vocals"}, "A cappella": {"bass", "drums", "other"}, "Bassless": {"bass"}}
    for preset, silent in silent_stems.items():
        window.button(preset).click()
        assert window.button(preset).get_attribute("aria-pressed") == "true"
        found = parts(settled(window), song)
        assert {name for name, matrix in found.items() if abs(matrix[0, 0]) < 1e-3} == silent
    window.button("Listen to the original song").click()
    found = parts(settled(window), song)
    np.testing.assert_allclose(list(found.values()), [np.eye(2)] * 4, atol=1e-3)
    assert window.button("Bassless").get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize(
    ("stems", "presets", "muted"),
    [
        (("vocals", "instrumental"), ["All", "Karaoke", "A cappella"], []),
        (("bass", "drums", "other", "vocals", "instrumental"), None, ["instrumental"]),
        (("vocals", "drums", "drumless"), ["All", "A cappella", "Drumless"], ["vocals"]),
        (("dialog", "effect", "music"), [], []),
        (("vocals",), [], []),
    ],
)
def test_presets_are_those_that_the_stems_allow(
    come: Any, stems: tuple[str, ...], presets: list[str] | None, muted: list[str]
) -> None:
    """Each sound is heard once: a stem and the song without it, or all sources, never both."""
    window = come(StandIn({"1": stems_of(1, names=stems)}, rate=RATE))
    if presets is not None:
        shown = window.studio.locator(".preset").filter(visible=True).all_inner_texts()
        assert shown == presets
    pressed = window.studio.locator(".mute[aria-pressed=true]")
    assert [
        text.removeprefix("Mute ") for text in pressed.evaluate_all("all => all.map(one => one.ariaLabel)")
    ] == muted


def test_playback_waits_for_the_work_and_goes_on(come: Any) -> None:
    """Not a sample beyond what is separated is played, and none is lost."""
    song = song_of(6, ready_samples=STRETCH, job={"state": "running", "text": "Separating", "share": 0.25})
    window = come(song)
    window.play()
    window.told("Waiting for the separation").wait_for()
    assert window.position == pytest.approx(STRETCH / RATE, abs=0.01)
    assert not [path for path in song.requests if path.endswith("/1.flac")]
    _, before = window.heard()
    song.ready_samples = 3 * STRETCH
    until(lambda: window.position > 2.2, "the next stretch")
    _, heard = window.heard()
    mixture = song.track("mixture")
    begin, at = places(heard, mixture)
    n = STRETCH - at - 300
    np.testing.assert_allclose(heard[:, begin : begin + n], mixture[:, at : at + n], atol=4 * ONE_STEP)
    assert not before[:, -RATE // 20 :].any(), "silence while it waits"
    begin, at = places(heard[:, before.shape[1] :], mixture)
    assert at - 200 <= STRETCH + 1, "no sample was left out"


def test_play_before_anything_is_separated(come: Any) -> None:
    song = song_of(4, result=None, job={"state": "waiting", "ahead": 2})
    window = come(song)
    window.told("Waiting: 2 songs ahead of yours").wait_for()
    window.button("Play").click()
    window.told("Plays as soon as the first seconds are separated.").wait_for()
    song.job = {"state": "running", "text": "Separating", "share": 0.1, "left_seconds": 40}
    window.told("about 40 s left").wait_for()
    song.ready_samples, song.result = 2 * STRETCH, {}
    until(lambda: window.position > 0.5, "playback")
    assert window.told("Plays as soon").count() == 0


def test_a_new_version_takes_over_while_it_plays(come: Any) -> None:
    """The preview's stems give way to the chosen system's on the same sample; mutes and playhead stay."""
    stems = {"1": stems_of(20), "2": stems_of(20, seed=50)}
    running = {"state": "running", "system": "kuielab-a", "share": 0.4}
    song = StandIn(stems, rate=RATE, stretch_samples=5 * RATE, job=running, result={"is_preview": True})
    window = come(song)
    window.told("Preview by starter-plus; kuielab-a is at 40 %").wait_for()
    window.button("Mute bass").click()
    window.play()
    window.listen(0.5)
    song.version, song.job, song.result = "2", {"state": "done", "system": "kuielab-a"}, {}
    window.told("kuielab-a").first.wait_for()
    until(lambda: any("/2/play/" in path for path in song.requests), "loads of the new version")
    window.page.wait_for_timeout(1_500)
    _, heard = window.heard()
    sums = [sum(wave for name, wave in one.items() if name != "bass") for one in stems.values()]
    begin, at = places(heard, sums[0])
    rest = heard[:, begin:]
    first = same(rest, sums[0][:, at:])
    assert first > RATE // 5
    n = rest.shape[1]
    np.testing.assert_allclose(rest[:, :first], sums[0][:, at : at + first], atol=4 * ONE_STEP)
    np.testing.assert_allclose(rest[:, first:n], sums[1][:, at + first : at + n], atol=4 * ONE_STEP)
    assert window.button("Mute bass").get_attribute("aria-pressed") == "true"
    assert window.page.evaluate("window.changes").pop() == ["changed", "done"]


def test_stop_answers_at_once_and_keeps_what_there_is(come: Any) -> None:
    ready = STRETCH + 4_000
    song = song_of(6, ready_samples=ready, job={"state": "running", "text": "Separating", "share": 0.3})
    window = come(song)
    assert window.studio.get_by_role("link", name="All stems").get_attribute("aria-disabled") == "true"
    window.button("Stop").click()
    window.told("Stopping after the current part").wait_for()
    assert window.button("Stop").is_disabled()
    song.job = {"state": "stopped"}
    window.told("Stopped. The first 0:01 can be played and downloaded.").wait_for()
    assert (
        window.studio.get_by_role("link", name="All stems").get_attribute("href").endswith("/download/wav-PCM_16/all")
    )
    window.play()
    until(lambda: window.status == "paused", "the end of what there is")
    _, heard = window.heard()
    mixture = song.track("mixture")
    begin, at = places(heard, mixture)
    loud = np.flatnonzero(np.abs(heard).max(axis=0))
    assert loud[-1] - begin + at == pytest.approx(ready, abs=2)
    assert window.position == 0


def test_failures_are_told_with_their_cure(come: Any) -> None:
    message = "song.wav: the weights are missing; run: mdx fetch kuielab-a"
    window = come(song_of(2, result=None, job={"state": "failed", "message": message}))
    window.studio.get_by_role("alert").get_by_text(message).wait_for()
    assert window.lane("bass").count() == 0
    text = "not separated: 3 s are too little (give 20 s or more)"
    window = come(song_of(2, result={"is_separated": False}, job={"message": text}))
    window.studio.get_by_role("alert").get_by_text(text).wait_for()
    assert window.studio.locator(".lanes").is_hidden()


def test_a_failed_fetch_is_told_and_tried_again(come: Any) -> None:
    song = song_of(6, failing={"/play/": 1_000})
    window = come(song, allowed="503")
    window.button("Play").click()
    window.told("The audio cannot be loaded").wait_for()
    song.failing = {}
    until(lambda: window.position > 0.5, "playback")
    assert window.told("cannot be loaded").count() == 0
    song.failing = {"/state.json": 3}
    window.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    window.told("The server does not answer").wait_for()
    window.told("The server does not answer").wait_for(state="detached")


def test_a_busy_page_does_not_interrupt_the_sound(come: Any) -> None:
    """A page that draws nothing for 2.5 s, as a hidden one whose timers are held back, plays on without a gap."""
    song = song_of(10, stretch_samples=5 * RATE)
    window = come(song)
    window.play()
    window.listen(0.5)
    window.page.evaluate("() => { window.recorded.length = 0; }")
    window.page.evaluate("() => { const end = performance.now() + 2500; while (performance.now() < end); }")
    window.page.wait_for_timeout(200)
    _, heard = window.heard()
    mixture = song.track("mixture")
    begin, at = places(heard, mixture)
    n = heard.shape[1] - begin
    assert n > 2 * RATE
    np.testing.assert_allclose(heard[:, begin:], mixture[:, at : at + n], atol=4 * ONE_STEP)
