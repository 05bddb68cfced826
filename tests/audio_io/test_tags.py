"""Tags carried over from a song to its stems: read from every format, written so that other programs find them."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.audio_io import AudioFormat, SongTags, StemFolderWriter, convert_stems, probe, read_blocks, read_tags
from my_submission.audio_io.writing import stem_writer as stem_writer_module
from my_submission.audio_io.writing.audio_format import FILE_FORMATS, WAV_FLOAT
from my_submission.audio_io.writing.tags import Cover, song_tags
from my_submission.predictor import Predictor
from my_submission.predictor.separation_record import RecordRequest
from tests.audio_fixtures import noise, write_audio, write_media
from tests.rigs import two_branches

SAMPLES = 30_011


def png(side: int = 3, filling: int = 0) -> bytes:
    """A small picture, or a large file of one."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes([200, 30, 90]) * side for _ in range(side)))
    parts = [chunk(b"IHDR", header), *([chunk(b"tEXt", b"k\0" + bytes(filling))] if filling else [])]
    return b"\x89PNG\r\n\x1a\n" + b"".join((*parts, chunk(b"IDAT", pixels), chunk(b"IEND", b"")))


TAGS = SongTags(
    title="Дорога – 길",
    artist="Béla & die Fürsten",
    album="An Album",
    album_artist="Various",
    date="2021-05-03",
    genre="Folk",
    track="3/12",
    comment="two\nlines",
    bpm="128",
    cover=Cover(png(), "image/png"),
)


def write(directory: Path, audio_format: AudioFormat, tags: SongTags | None, name: str = "vocals") -> Path:
    wave = noise(2, SAMPLES, level=0.2)
    with StemFolderWriter(
        directory,
        [name],
        sample_rate=44_100,
        samples=SAMPLES,
        audio_format=audio_format,
        tags=None if tags is None else {name: tags},
    ) as writer:
        for start in range(0, SAMPLES, 8_000):
            writer.write({name: wave[:, start : start + 8_000]})
    return writer.paths[name]


def decoded(path: Path) -> np.ndarray:
    return np.concatenate(list(read_blocks(path)), axis=1)


@pytest.mark.parametrize("name", FILE_FORMATS)
def test_every_format_gives_back_what_was_written(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "tags", AudioFormat(name), TAGS)
    assert read_tags(path) == (TAGS, ())
    plain = write(tmp_path / "plain", AudioFormat(name), None)
    np.testing.assert_array_equal(decoded(path), decoded(plain))  # and the audio is the same
    assert read_tags(plain)[0] == SongTags()
    assert path.read_bytes() == write(tmp_path / "again", AudioFormat(name), TAGS).read_bytes()
    assert write(tmp_path / "none", AudioFormat(name), SongTags()).read_bytes() == plain.read_bytes()


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs the ffprobe command")
@pytest.mark.parametrize("name", FILE_FORMATS)
def test_ffprobe_finds_the_tags(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, AudioFormat(name), TAGS)
    command = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stderr == b""
    found = json.loads(done.stdout)
    audio = next(stream for stream in found["streams"] if stream["codec_type"] == "audio")
    pictures = [stream for stream in found["streams"] if stream["codec_type"] == "video"]
    texts = {key.lower(): text for key, text in {**found["format"].get("tags", {}), **audio.get("tags", {})}.items()}
    expected = {"title": TAGS.title, "artist": TAGS.artist, "album": TAGS.album, "genre": TAGS.genre}
    assert {key: texts[key] for key in expected} == expected
    assert texts["date"] == TAGS.date
    assert (texts.get("tbpm") or texts.get("bpm") or texts.get("ibpm")) == (
        None if name == "m4a" else "128"
    )  # it does not read this one
    assert [(stream["codec_name"], stream["width"], stream["disposition"]["attached_pic"]) for stream in pictures] == [
        ("png", 3, 1)
    ]


@pytest.mark.parametrize("name", FILE_FORMATS)
def test_a_large_cover_does_not_hide_the_audio(tmp_path: Path, name: str) -> None:
    tags = replace(TAGS, cover=Cover(png(filling=1_000_003), "image/png"))
    path = write(tmp_path, AudioFormat(name), tags)
    assert read_tags(path) == (tags, ())
    plain = write(tmp_path / "plain", AudioFormat(name), None)
    np.testing.assert_array_equal(decoded(path), decoded(plain))
    assert path.stat().st_size - plain.stat().st_size > 1_000_000


@pytest.mark.parametrize(
    ("name", "codec", "keys"),
    [
        ("a.mp3", "libmp3lame", {"TBPM": "99"}),
        ("a.m4a", "aac", {"tmpo": "99"}),
        ("a.flac", "flac", {"bpm": "99"}),
        ("a.opus", "libopus", {"BPM": "99"}),
        ("a.mka", "flac", {"BPM": "99"}),
    ],
)
def test_tags_of_files_by_ffmpeg_are_read(tmp_path: Path, name: str, codec: str, keys: dict[str, str]) -> None:
    metadata = {"title": "Тест", "artist": "A", "album_artist": "B", "date": "1999", "track": "7", **keys}
    rate = 48_000 if codec == "libopus" else 44_100
    path = write_media(tmp_path / name, [noise(2, rate)], codec=codec, sample_rate=rate, metadata=metadata)
    expected = SongTags(title="Тест", artist="A", album_artist="B", date="1999", track="7", bpm="99")
    assert read_tags(path) == (expected, ())


def test_a_wav_by_libsndfile_has_its_tags_read(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 44_100, 2) as file:
        file.title, file.artist = "Title", "Artist"
        file.write(noise(2, 1_000).T)
    assert read_tags(tmp_path / "a.wav")[0] == SongTags(title="Title", artist="Artist")


def test_the_stem_is_part_of_its_title() -> None:
    assert TAGS.for_stem("vocals").title == "Дорога – 길 (vocals)"
    assert replace(TAGS.for_stem("vocals"), title=TAGS.title) == TAGS
    assert SongTags(artist="A").for_stem("vocals") == SongTags(artist="A")
    assert not SongTags()
    assert SongTags(comment="x")


def test_a_separation_carries_tags_over(tmp_path: Path) -> None:
    song = write(tmp_path / "in", AudioFormat("flac"), TAGS, name="song")
    predictor = Predictor(two_branches())
    report = predictor.separate_file(song, tmp_path / "out", audio_format=AudioFormat("mp3"), record=RecordRequest())
    assert list(report.outputs) == ["bass", "drums", "other", "vocals"]
    for stem, path in report.outputs.items():
        assert read_tags(path) == (TAGS.for_stem(stem), ())
        assert probe(path).samples == SAMPLES
    report = predictor.separate_file(song, tmp_path / "plain", keeps_tags=False)
    assert read_tags(report.outputs["bass"]) == (SongTags(), ())
    copy = write_audio(tmp_path / "copy.wav", noise(2, 2_000))
    report = predictor.separate_file(copy, tmp_path / "copied", record=RecordRequest(original=song))
    assert read_tags(report.outputs["bass"]) == (TAGS.for_stem("bass"), ())


def test_copies_of_stems_keep_their_tags(tmp_path: Path) -> None:
    stem = write(tmp_path / "float", WAV_FLOAT, TAGS.for_stem("vocals"))
    copies = convert_stems({"vocals": stem}, tmp_path / "ogg", AudioFormat("ogg")).paths
    assert read_tags(copies["vocals"])[0] == TAGS.for_stem("vocals")


def test_tags_follow_the_audio_of_large_wavs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stem_writer_module, "WAV_LIMIT_BYTES", SAMPLES * 4 + 1)  # the audio fits, with tags it may not
    path = write(tmp_path, AudioFormat("wav"), TAGS)
    assert soundfile.info(path).format == "RF64"
    assert read_tags(path)[0] == TAGS
    data = path.read_bytes()
    assert struct.unpack("<Q", data[20:28]) == (len(data) - 8,)
    assert decoded(path).shape == (2, SAMPLES)


def test_broken_and_hostile_tags_are_noted_and_never_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(song_tags, "MAX_COVER_BYTES", 10)
    monkeypatch.setattr("my_submission.audio_io.writing.tags.reading.MAX_COVER_BYTES", 10)
    tags, notes = read_tags(write(tmp_path, AudioFormat("mp3"), TAGS))
    assert (tags, notes) == (replace(TAGS, cover=None), ("its cover of 0 MiB is larger than 0 MiB and is left out",))
    (tmp_path / "noise.wav").write_bytes(b"RIFF" + bytes(50))
    tags, notes = read_tags(tmp_path / "noise.wav")
    assert tags == SongTags()
    assert len(notes) == 1
    assert notes[0].startswith("its tags could not be read (")
    assert read_tags(tmp_path / "absent.wav")[1] == (
        "its tags could not be read (No such file or directory), so the stems have none",
    )
    gif = write(tmp_path / "gif", AudioFormat("mp3"), replace(TAGS, cover=Cover(b"GIF89a" + bytes(50), "image/gif")))
    monkeypatch.undo()
    assert read_tags(gif)[0].cover is None


def test_texts_are_cleaned_and_cut(tmp_path: Path) -> None:
    path = write(tmp_path, AudioFormat("flac"), SongTags(title="a\x1b[31mb\x7f" + "x" * 5_000, comment="  "))
    tags, _ = read_tags(path)
    assert tags == SongTags(title="a[31mb" + "x" * (song_tags.MAX_TEXT_CHARACTERS - 6))


@pytest.mark.parametrize(
    ("bpm", "found"), [("127.6", "128"), ("127,6", "128"), ("fast", None), ("-3", None), ("1e400", None), ("nan", None)]
)
def test_m4a_holds_whole_tempos_only(tmp_path: Path, bpm: str, found: str | None) -> None:
    path = write(tmp_path, AudioFormat("m4a"), SongTags(title="T", bpm=bpm))
    assert read_tags(path)[0] == SongTags(title="T", bpm=found)


@pytest.mark.parametrize(("date", "found"), [("1999", "1999"), ("1999-07", "1999"), ("May 1999", None), ("", None)])
def test_id3_holds_years_and_whole_dates_only(tmp_path: Path, date: str, found: str | None) -> None:
    path = write(tmp_path, AudioFormat("mp3"), SongTags(title="T", date=date))
    assert read_tags(path)[0] == SongTags(title="T", date=found)
