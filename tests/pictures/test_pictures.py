"""Pictures, level reports and the page a song gets, as the command line writes them."""

from __future__ import annotations

import io
import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import soundfile
from PIL import Image

from evaluator import replay_plot
from my_submission.audio_io import AudioFormat
from my_submission.cli import main
from my_submission.dsp.overview import overview_of
from my_submission.pictures import AXES, FrequencyAxis, draw_track, palettes, view_song
from my_submission.pictures.drawing import LOWEST_HZ, PLOT_LEFT, PLOT_RIGHT, PictureStyle
from my_submission.pictures.palettes import PALETTES
from my_submission.pictures.wording import clock_label, clock_ticks, decibels, duration, loudness, residual
from my_submission.predictor import Predictor
from my_submission.stems import MUSIC_SOURCES
from tests.audio_fixtures import noise, sines, write_audio
from tests.html_pages import ParsedPage
from tests.rigs import two_branches

RATE = 44_100


def picture(**more: object) -> np.ndarray:
    wave = noise(2, 2 * RATE)
    png = draw_track(overview_of([wave], RATE, 2 * RATE), colour="#ff0000", **more)  # type: ignore[arg-type]
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


@pytest.mark.parametrize("axis", AXES)
def test_cutoff_lies_at_its_frequency(axis: FrequencyAxis) -> None:
    """The white dashes are found at the row that the axis gives them, within 2 dots."""
    hz = 8_000.0
    with_line, without = picture(axis=axis, cutoff_hz=hz), picture(axis=axis)
    changed = np.abs(with_line - without).sum(axis=2) > 100
    width = changed.shape[1]
    inside = slice(int(PLOT_LEFT * width) + 2, int(width / 2))  # the words are at the right
    rows = np.flatnonzero(changed[:, inside].mean(axis=1) > 0.3)
    dark = np.flatnonzero((without.sum(axis=2) < 600)[:, inside].mean(axis=1) > 0.9)
    top, bottom = dark[np.flatnonzero(np.diff(dark) > 1)[-1] + 1], dark.max() + 1  # below the waveform
    share = np.log(hz / LOWEST_HZ) / np.log(RATE / 2 / LOWEST_HZ) if axis == "log" else hz / (RATE / 2)
    assert len(rows) <= 4
    assert rows.mean() == pytest.approx(bottom - share * (bottom - top), abs=2)


def test_time_axis_lies_where_the_page_draws_its_playhead() -> None:
    dots = picture()
    is_plot = (dots.sum(axis=2) < 600).mean(axis=0) > 0.4
    columns = np.flatnonzero(is_plot[: int((PLOT_RIGHT + 0.004) * len(is_plot))])
    assert columns.min() == pytest.approx(PLOT_LEFT * len(is_plot), abs=2)
    assert columns.max() == pytest.approx(PLOT_RIGHT * len(is_plot), abs=2)


@pytest.mark.parametrize(("width", "scale"), [(358, 1.0), (716, 2.0), (1_100, 1.0)])
@pytest.mark.parametrize("theme", palettes.THEMES)
def test_pictures_have_the_width_and_the_background_of_the_screen(
    theme: palettes.Theme, width: int, scale: float
) -> None:
    """Text keeps its size in CSS pixels: the height grows with the scale only. 256 colours differ by 10 or less."""
    heights = []
    for has_waveform in (False, True):
        dots = picture(style=PictureStyle(theme, width, scale, has_waveform))
        assert dots.shape[1] == width
        heights.append(dots.shape[0] / scale)
        paper = PALETTES[theme].paper
        expected = [int(paper[index : index + 2], 16) for index in (1, 3, 5)]
        assert np.abs(dots[1, 1] - expected).max() <= 10
    assert heights == [170 if width < 700 * scale else 230, 385]


def test_spectrograms_end_80_decibels_below_full_scale() -> None:
    """A tone 86 dB below full scale is as dark as silence, one 46 dB below is not."""
    bare = PictureStyle(has_waveform=False)

    def brightness(wave: np.ndarray) -> int:
        png = draw_track(overview_of([wave], RATE, 2 * RATE), colour="#ff0000", axis="linear", style=bare)
        dots = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
        return int(dots[60:150, 200:1_000].sum(axis=2).max())

    tone = np.tile(np.sin(2 * np.pi * 8_000 / RATE * np.arange(2 * RATE)), (2, 1))
    silence, quiet, loud = (brightness((level * tone).astype(np.float32)) for level in (0.0, 5e-5, 5e-3))
    assert quiet == silence
    assert loud > silence + 50


def test_a_picture_without_axes_is_filled_by_its_spectrogram() -> None:
    """A tone in the second half of the song is bright in the right half of the picture, up to its edge."""
    style = PictureStyle(width=1_000, has_waveform=False, has_axes=False)
    wave = np.tile(np.sin(2 * np.pi * 8_000 / RATE * np.arange(2 * RATE)), (2, 1)).astype(np.float32)
    wave[:, :RATE] = 0
    png = draw_track(overview_of([wave], RATE, 2 * RATE), colour="#ff0000", axis="linear", style=style)
    brightness = np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(int).max(axis=0)
    assert brightness[:450].max() < 10
    assert brightness[550:].min() > 100


def test_impossible_pictures_are_refused() -> None:
    for wrong in ({"width": 100}, {"scale": 9.0}, {"theme": "grey"}):
        with pytest.raises(ValueError, match="is not"):
            PictureStyle(**wrong)  # type: ignore[arg-type]


def test_times_on_an_axis() -> None:
    for seconds in (0.3, 3.0, 29.9, 180.0, 7_000.0, 90_000.0):
        ticks = clock_ticks(seconds, at_most=10)
        assert 3 <= len(ticks) <= 10
        assert ticks[0] == 0
        assert ticks[-1] <= seconds
        assert len(set(np.round(np.diff(ticks), 6))) == 1
    assert [clock_label(one) for one in (0, 0.5, 65, 3_723)] == ["0:00", "0:00.5", "1:05", "1:02:03"]


@pytest.mark.slow
def test_separate_writes_pictures_and_a_page_that_opens_anywhere(
    tiny_models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    song = write_audio(tmp_path / "a <song> & more.wav", noise(2, RATE))
    options = ["--system", "starter", "--models-dir", str(tiny_models), "--pictures", "--frequency-axis", "linear"]
    assert main(["separate", str(song), "-o", str(tmp_path / "out"), *options]) == 0
    folder = tmp_path / "out" / "a <song> & more"
    expected = {f"{name}.png" for name in ("mixture", *MUSIC_SOURCES)} | {"report.html", "separation.json"}
    stems = [f"a <song> & more - {name}.wav" for name in MUSIC_SOURCES]
    assert {path.name for path in folder.iterdir()} == expected | set(stems)
    for path in folder.glob("*.png"):
        assert Image.open(io.BytesIO(path.read_bytes())).size == (1320, 385)
    parsed = ParsedPage((folder / "report.html").read_text("utf-8"))
    assert set(parsed.outside) == {quote(stem) for stem in stems}
    assert len(parsed.embedded("audio/webm")) == 1 + len(MUSIC_SOURCES)
    assert parsed.title == "a <song> & more"


def test_pictures_without_matplotlib_are_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("my_submission.pictures.drawing.find_spec", lambda name: None)
    song = write_audio(tmp_path / "song.wav", noise(2, 1_000))
    assert main(["separate", str(song), "-o", str(tmp_path / "out"), "--pictures"]) == 1
    assert "pip install 'mdx-submission[plot]'" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_evaluator_s_plots_have_the_same_colours() -> None:
    ours = {name: getattr(palettes, name) for name in ("INK", "SOFT", "LINE", "PAPER", "MUTED", "SERIES")}
    assert ours == {name: getattr(replay_plot, name) for name in ours}
    style = (Path(replay_plot.__file__).with_name("page.html")).read_text("utf-8")
    for palette, declared in zip(
        (palettes.LIGHT, palettes.DARK), re.findall(r":root \{ (--ink.*?) \}", style, re.DOTALL), strict=True
    ):
        variables = dict(re.findall(r"--(\w+): (#\w+);", declared))
        assert [variables.pop(f"run{index}") for index in range(4)] == list(palette.series)
        assert variables == {name: getattr(palette, name) for name in variables}


def test_words() -> None:
    assert (decibels(0.5), decibels(0)) == ("−6.0 dBFS", "silent")
    assert (loudness(-14.04), loudness(None)) == ("−14.0 LUFS", "—")
    assert (residual(-31.25), residual(float("-inf"))) == ("−31.2 dB of the mixture", "none: the stems add up exactly")
    assert (duration(3.25), duration(61), duration(59.96)) == ("3.2 s", "1:01 min", "60.0 s")


@pytest.mark.parametrize("name", ["opus", "mp3", "m4a"])
def test_stems_of_codecs_at_other_rates_are_shown_in_time_with_the_mixture(tmp_path: Path, name: str) -> None:
    """Stems of two branches that add up; what remains is the codec's error, 20 dB below the mixture or less."""
    wave = sines(60_011, 44_100)
    soundfile.write(tmp_path / "song.wav", wave.T, 44_100, subtype="FLOAT")
    predictor = Predictor(two_branches())
    report = predictor.separate_file(tmp_path / "song.wav", tmp_path / "out", audio_format=AudioFormat(name))
    view = view_song(report)
    assert {track.overview.sample_rate for track in view.tracks} == {44_100}
    assert {track.overview.samples for track in view.tracks} == {60_011}
    assert view.residual_db is not None
    assert view.residual_db < -20


def test_the_residual_of_stems_that_were_made_quieter_is_not_measured(tmp_path: Path) -> None:
    wave = 20 * noise(2, 30_000)
    soundfile.write(tmp_path / "song.wav", wave.T, 44_100, subtype="FLOAT")
    quieter = AudioFormat("wav", clip="rescale")
    report = Predictor(two_branches()).separate_file(tmp_path / "song.wav", tmp_path / "out", audio_format=quieter)
    assert view_song(report).residual_db is None
    words = residual(None, common_gain_db=report.common_gain_db)
    assert words.startswith("not measured: the stems are up to ")
