"""The report of a song as HTML: it opens anywhere, says in words how the stems are, and names everything."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from my_submission.audio_io.writing import listening_copies
from my_submission.audio_io.writing.listening_copies import listening_copy
from my_submission.dsp.overview import overview_of
from my_submission.errors import OutputError
from my_submission.pictures import AXES, FrequencyAxis, SongView, players, view_song
from my_submission.pictures.players import BITRATES, MAX_EMBEDDED_BYTES, Players, embedded_bytes, players_of
from my_submission.pictures.song_page import song_page
from my_submission.pictures.track_plot import spectrogram_png, waveform_svg
from my_submission.pictures.wording import beside_song, together, track_name
from my_submission.predictor import Predictor, SeparationReport
from my_submission.stems import MUSIC_SOURCES
from tests.audio_fixtures import noise, sines
from tests.html_pages import ParsedPage
from tests.rigs import two_branches

RATE = 44_100
SAMPLES = 50_003
SILENT = Players({}, "No players here.")


@pytest.fixture(scope="module")
def separated(tmp_path_factory: pytest.TempPathFactory) -> tuple[SongView, SeparationReport]:
    folder = tmp_path_factory.mktemp("song")
    soundfile.write(folder / "song.wav", 0.3 * sines(SAMPLES, RATE).T, RATE, subtype="FLOAT")
    report = Predictor(two_branches()).separate_file(folder / "song.wav", folder / "stems")
    return view_song(report), report


def page_of(view: SongView, report: SeparationReport, **more: object) -> ParsedPage:
    return ParsedPage(song_page(view, report, song="a <song>", **({"links": {}} | more)))  # type: ignore[arg-type]


def said(page: ParsedPage) -> str:
    return " ".join(one.text for one in page.all("div", class_="summary"))


def test_the_page_loads_nothing_and_its_policy_allows_what_it_has(
    separated: tuple[SongView, SeparationReport],
) -> None:
    page = page_of(*separated, links={"vocals": "song%20-%20vocals.wav"})
    page.check_names()
    assert set(page.outside) == {"song%20-%20vocals.wav"}
    assert len(page.embedded("audio/webm")) == len(page.embedded("image/png")) == 1 + len(MUSIC_SOURCES)
    (script,) = page.all("script")
    digest = base64.b64encode(hashlib.sha256("".join(script.parts).encode()).digest()).decode()
    (policy,) = [one.attributes["content"] for one in page.all("meta") if "http-equiv" in one.attributes]
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert all("url(" not in one.text for one in page.all("style"))
    assert page.title == "a <song>"


def test_players_hold_every_track_as_long_as_the_song(separated: tuple[SongView, SeparationReport]) -> None:
    """Opus in WebM at 48 kHz; less than one frame of 20 ms longer or shorter. Equal calls give equal pages."""
    page = page_of(*separated)
    for content in page.embedded("audio/webm"):
        with av.open(io.BytesIO(content)) as file:
            stream = file.streams.audio[0]
            assert (stream.codec_context.name.removeprefix("lib"), stream.rate) == ("opus", 48_000)
            n_samples = sum(frame.samples for frame in file.decode(stream))
        assert n_samples / 48_000 == pytest.approx(SAMPLES / RATE, abs=0.02)
    view, report = separated
    assert song_page(view, report, song="x", links={}) == song_page(view, report, song="x", links={})


def test_a_listening_copy_has_the_pitch_the_level_and_the_channels_of_the_signal() -> None:
    """A tone of 1 kHz on the left and 2 kHz at half the level on the right, pushed in blocks at 44.1 kHz."""
    times = np.arange(2 * RATE) / RATE
    wave = np.stack([0.5 * np.sin(2_000 * np.pi * times), 0.25 * np.sin(4_000 * np.pi * times)]).astype(np.float32)
    content = listening_copy([wave[:, :30_000], wave[:, 30_000:30_000], wave[:, 30_000:]], RATE, bitrate=96)
    with av.open(io.BytesIO(content)) as file:
        planar = av.AudioResampler(format="fltp", layout="stereo")
        frames = [one.to_ndarray() for frame in file.decode(audio=0) for one in planar.resample(frame)]
    heard = np.abs(np.fft.rfft(np.concatenate(frames, axis=1)[:, 24_000:72_000])) / 24_000  # a bin per hertz
    assert heard.argmax(axis=1).tolist() == [1_000, 2_000]
    assert heard.max(axis=1) == pytest.approx([0.5, 0.25], rel=0.1)


def test_long_songs_have_smaller_players_and_then_none(separated: tuple[SongView, SeparationReport]) -> None:
    assert embedded_bytes(60, 48) < embedded_bytes(60, 64)
    view, report = separated
    whole = view.tracks[0].overview
    hour = replace(view.tracks[0], overview=replace(whole, samples=3_600 * RATE))
    none = players_of(replace(view, tracks=(hour, *view.tracks[1:])))
    assert none.addresses == {}
    assert "larger than 16 MB" in none.remark
    page = page_of(view, report, players=none, links={"vocals": "vocals.wav"})
    assert [one.attributes["src"] for one in page.all("source")] == ["vocals.wav"], "the file beside the page plays"
    assert len(page.all("audio")) == 1
    n_seconds = MAX_EMBEDDED_BYTES / embedded_bytes(1, BITRATES[0])
    assert 5 * 180 < n_seconds < 5 * 600, "three minutes of four stems and the mixture have the best players"


def test_without_an_opus_encoder_the_page_says_so(
    separated: tuple[SongView, SeparationReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(players, "has_listening_copies", lambda: False)
    monkeypatch.setattr(listening_copies, "_has_opus", lambda: False)
    assert "no Opus encoder (pip install av)" in said(page_of(*separated))
    with pytest.raises(OutputError, match="Pip install av"):
        listening_copy([noise(2, 10)], RATE, bitrate=48)


def test_the_summary_is_a_sentence_for_people(separated: tuple[SongView, SeparationReport]) -> None:
    view, report = separated
    told = said(page_of(view, report, players=SILENT))
    assert re.search(r"^Played together, the stems .*\.No players here\.$", told)
    assert "Σ" not in told
    assert together(-20.6) == (
        "Played together, the stems differ from the song; the difference is 21 dB quieter than the song."
    )
    assert "the difference is inaudible" in together(-75)
    assert together(float("-inf")).endswith("exactly to the song.")
    assert together(-20.0, stems_add_up=False) == ""
    assert "made up to 3.0 dB quieter" in together(None, common_gain_db=-3.0)
    clipped = replace(view, tracks=(*view.tracks[:-1], replace(view.tracks[-1], clipped_samples=3)))
    assert "Vocals is clipped in places. Files of 32-bit float" in said(page_of(clipped, report, players=SILENT))


def test_stems_that_are_no_separation_are_not_shown_as_stems(separated: tuple[SongView, SeparationReport]) -> None:
    view, report = separated
    shares = dict.fromkeys(MUSIC_SOURCES, 0.0)
    page = page_of(view, replace(report, separated_shares=shares), players=SILENT)
    assert [one.text for one in page.all("h2")] == ["Mixture"]
    assert "Warning: Not separated: there was no time." in said(page)
    assert "equal shares of the song" in said(page)
    part = page_of(view, replace(report, separated_shares={**shares, "vocals": 0.5}), players=SILENT)
    assert "vocals in 50%" in said(part)
    assert len(part.all("h2")) == 5


def test_tracks_are_compared_with_the_song() -> None:
    song = overview_of([0.5 * noise(2, RATE)], RATE, RATE)
    quiet = overview_of([0.05 * noise(2, RATE)], RATE, RATE)
    assert beside_song(quiet, song) == "20 dB quieter than the song"
    assert beside_song(song, quiet) == "20 dB louder than the song"
    assert beside_song(song, song) == "as loud as the song"
    assert beside_song(overview_of([np.zeros((2, RATE), np.float32)], RATE, RATE), song) == "silent"
    assert [track_name(name) for name in ("vocals", "no_other", "mixture")] == ["Vocals", "Without other", "Mixture"]


@pytest.mark.parametrize("axis", AXES)
def test_a_tone_lies_at_its_frequency(axis: FrequencyAxis) -> None:
    """A sine of 2 kHz is the brightest row, within 1.5 rows of 220."""
    tone = np.tile(np.sin(2 * np.pi * 2_000 / RATE * np.arange(RATE)), (2, 1)).astype(np.float32)
    png = spectrogram_png(overview_of([tone], RATE, RATE), axis=axis)
    rows = np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(float)[:, 100:-100].mean(axis=1)
    share = np.log(2_000 / 30) / np.log(RATE / 2 / 30) if axis == "log" else 2_000 / (RATE / 2)
    assert len(rows) - 0.5 - rows.argmax() == pytest.approx(share * len(rows), abs=1.5)


def test_a_waveform_is_as_high_as_its_own_peak() -> None:
    svg = waveform_svg(overview_of([0.01 * noise(2, RATE)], RATE, RATE).envelope)
    points = np.array([[float(x) for x in pair.split(",")] for pair in re.findall(r"[\d.]+,[\d.]+", svg)])
    assert points[:, 1].min() == pytest.approx(1, abs=0.1) or points[:, 1].max() == pytest.approx(99, abs=0.6)
    assert points[:, 0].max() == 999


def test_the_page_of_a_moved_stem_names_the_file(tmp_path: Path, separated: tuple[SongView, SeparationReport]) -> None:
    page = page_of(*separated, players=SILENT, links={"bass": "a%20%26%20b%20-%20bass.wav"})
    (link,) = page.all("a")
    assert link.text == "a & b - bass.wav"
    assert link.attributes["href"] == "a%20%26%20b%20-%20bass.wav"
