"""Lengths by headers alone: equal to those by the content, without reading the content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from my_submission.audio_io import probe, stated_seconds
from tests.audio_fixtures import noise, sines, write_audio, write_media

SAMPLES = 300_001


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.aiff"])
def test_it_is_the_length_of_the_content(tmp_path: Path, name: str) -> None:
    path = write_audio(tmp_path / name, sines(SAMPLES, 44_100))
    assert stated_seconds(path) == SAMPLES / 44_100
    assert probe(path).samples == SAMPLES


@pytest.mark.parametrize("name", ["a.flac", "a.mp3"])
def test_only_the_header_is_read(tmp_path: Path, name: str) -> None:
    """A file whose end is missing has the same header; its content is examined when it is separated."""
    path = write_audio(tmp_path / name, sines(SAMPLES, 44_100))
    with path.open("r+b") as file:
        file.truncate(16_384)
    assert stated_seconds(path) == pytest.approx(SAMPLES / 44_100, abs=0.1)


def test_files_for_ffmpeg_have_a_length_too(tmp_path: Path) -> None:
    """AAC pads its last frame of 1024 samples, of which the container may count a part."""
    path = write_media(tmp_path / "a.m4a", [noise(2, SAMPLES)], codec="aac")
    assert stated_seconds(path) == pytest.approx(SAMPLES / 44_100, abs=2 * 1024 / 44_100)


def test_it_is_none_rather_than_an_estimate(tmp_path: Path) -> None:
    """libsndfile estimates the length of an MP3 without a count of frames by its first ones."""
    path = write_audio(tmp_path / "a.mp3", sines(SAMPLES, 44_100))
    data = path.read_bytes()
    second_frame = data.find(data[:2], max(data.find(b"Info", 0, 4_096), data.find(b"Xing", 0, 4_096)))
    path.write_bytes(data[second_frame:])
    assert stated_seconds(path) is None


def test_unreadable_files_have_none(tmp_path: Path) -> None:
    """The separation of the song raises the error."""
    for name in ("text.wav", "text.raw", "text.m4a"):
        (tmp_path / name).write_text("no audio")
        assert stated_seconds(tmp_path / name) is None
    assert stated_seconds(tmp_path) is None
    assert stated_seconds(tmp_path / "missing.wav") is None
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.wav")
        assert stated_seconds(tmp_path / "pipe.wav") is None
