"""Files of chosen stems: sums with their complements, names, records."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.audio_io import AudioFormat
from my_submission.audio_io.writing.file_names import FileNameTemplate, StemFileNames
from my_submission.predictor import Predictor, RecordRequest, load
from my_submission.predictor.separation_record import is_separated_already

STEMS = ("vocals", "instrumental", "no_other")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load("starter-plus", stems=STEMS, device="cpu", threads=1)


def write_song(path: Path, rate: int, *, channels: int = 2, subtype: str = "PCM_16") -> np.ndarray:
    """Write a loud song of 1.5 s, and return it as read, float64 (samples, 2)."""
    n = int(1.5 * rate)
    time = np.arange(n)[:, None] / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time) * (1 + np.sin(2 * np.pi * 3 * time)) / 2
    noise = 0.3 * np.random.default_rng(5).standard_normal((n, channels))
    soundfile.write(path, np.clip(tone + noise, -1, 1), rate, subtype=subtype)
    return np.broadcast_to(soundfile.read(path, always_2d=True)[0], (n, 2))


@pytest.mark.parametrize(
    ("rate", "channels", "depth", "quantum"),
    [(44_100, 2, "24", 2.0**-23), (48_000, 2, "32f", 1e-6), (22_050, 1, "24", 2.0**-23), (44_100, 1, "32f", 1e-6)],
)
def test_vocals_and_instrumental_add_up_to_the_song_as_it_was_read(
    tmp_path: Path, predictor: Predictor, rate: int, channels: int, depth: str, quantum: float
) -> None:
    song = write_song(tmp_path / "song.wav", rate, channels=channels)
    report = predictor.separate_file(
        tmp_path / "song.wav", tmp_path / "out", audio_format=AudioFormat("wav", bit_depth=depth)
    )
    assert list(report.outputs) == list(STEMS)
    vocals, instrumental, _ = (soundfile.read(path)[0] for path in report.outputs.values())
    assert vocals.shape == song.shape
    assert np.abs(vocals).max() > 0.01
    is_unclipped = (np.abs(vocals) < 1 - 1e-6) & (np.abs(instrumental) < 1 - 1e-6)
    assert is_unclipped.mean() > 0.99
    assert np.abs((vocals + instrumental - song)[is_unclipped]).max() <= quantum


def test_files_are_named_by_the_template(tmp_path: Path, predictor: Predictor) -> None:
    write_song(tmp_path / "song.wav", 44_100)
    template = FileNameTemplate("{song} ({stem}).{ext}")
    out, recipe = tmp_path / "out", predictor.recipe({}, AudioFormat())
    for song in ("a", "b"):
        names = template.names(predictor.stems, song=song, system="starter-plus")
        request = RecordRequest(song=song, settings={})
        predictor.separate_file(tmp_path / "song.wav", out, record=request, file_names=names)
    expected = {f"{song} ({stem}).wav" for song in "ab" for stem in STEMS}
    expected |= {f"{song}.separation.json" for song in "ab"}
    assert {path.name for path in out.iterdir()} == expected
    record = json.loads((out / "b.separation.json").read_text(encoding="utf-8"))
    assert (record["song"], list(record["stems"])) == ("b", list(STEMS))
    names = template.names(predictor.stems, song="a", system="starter-plus")
    assert is_separated_already(tmp_path / "song.wav", out, recipe, names)
    renamed = StemFileNames({stem: f"{stem} of a" for stem in STEMS}, names.record_file)
    assert not is_separated_already(tmp_path / "song.wav", out, recipe, renamed)
