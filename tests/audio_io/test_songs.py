"""Which songs inputs mean, their names and their order."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from my_submission.audio_io import SongInput, find_songs, song_name
from my_submission.audio_io.decoding.audio_suffixes import AUDIO_SUFFIXES, is_audio
from my_submission.audio_io.writing.stem_sets import RECORD_FILE, RECORD_SCHEMA, to_json
from my_submission.errors import InputError
from tests.decoding_mutants import FORMATS


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("song.wav", "song"),
        ("a/song.stem.mp4", "song"),
        ("a/SONG.STEM.MP4", "SONG"),
        ("a/song.mp4", "song"),
        ("a/My Song/mixture.wav", "My Song"),
        ("a/노래/mixture.wav", "노래"),
        ("mr. x - v1.2.flac", "mr. x - v1.2"),
        ("a/mixture.flac", "mixture"),
        (".stem.mp4", ".stem"),
        ("/mixture.wav", "mixture"),
    ],
)
def test_a_song_is_named_after_its_file_or_folder(path: str, name: str) -> None:
    assert song_name(path) == name


def test_mixture_in_the_working_directory_takes_the_folders_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "Tune" / "mixture.wav")
    monkeypatch.chdir(tmp_path / "Tune")
    assert song_name("mixture.wav") == "Tune"
    assert [song.name for song in find_songs(["."])] == ["Tune"]


def test_a_folder_in_the_challenges_layout_in_natural_order(tmp_path: Path) -> None:
    for name in ("song 10", "song 2", "Song 1", "노래", ".hidden"):
        touch(tmp_path / name / "mixture.wav")
    touch(tmp_path / "b.stem.mp4")
    touch(tmp_path / ".c.stem.mp4")
    touch(tmp_path / "not a song.wav")
    (tmp_path / "no mixture").mkdir()
    songs = find_songs([tmp_path])
    assert [song.name for song in songs] == ["b", "Song 1", "song 2", "song 10", "노래"]
    assert songs[1].path == tmp_path / "Song 1" / "mixture.wav"


def test_one_song_folder_and_files_in_the_order_given(tmp_path: Path) -> None:
    touch(tmp_path / "Tune" / "mixture.wav")
    touch(tmp_path / "Tune" / "vocals.wav")
    hidden = touch(tmp_path / ".secret.wav")
    other = touch(tmp_path / "a b.flac")
    assert find_songs([other, str(tmp_path / "Tune"), hidden]) == [
        SongInput("a b", other),
        SongInput("Tune", tmp_path / "Tune" / "mixture.wav"),
        SongInput(".secret", hidden),
    ]


def test_a_plain_folder_is_searched_for_audio(tmp_path: Path) -> None:
    for name in ("b.wav", "Album 10/01.FLAC", "Album 2/cd/01.mp3", "Album 2/cover.jpg", ".trash/c.wav", "notes.txt"):
        touch(tmp_path / name)
    (tmp_path / "Album 2" / "loop").symlink_to(tmp_path)
    notes: list[str] = []
    songs = find_songs([tmp_path], on_note=notes.append)
    assert [song.name for song in songs] == ["Album 2/cd/01", "Album 10/01", "b"]
    assert songs[1].path == tmp_path / "Album 10" / "01.FLAC"
    assert len(notes) == 1
    assert "skipped 2 files" in notes[0]
    assert "1 .jpg" in notes[0]


def test_the_mixtures_of_a_data_set_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("train/one/mixture.wav", "train/one/bass.wav", "test/two/mixture.wav", "test/two/drums.wav"):
        touch(tmp_path / name)
    notes: list[str] = []
    assert [song.name for song in find_songs([tmp_path], on_note=notes.append)] == ["test/two", "train/one"]
    assert notes == []


def test_stems_of_earlier_runs_are_no_songs(tmp_path: Path) -> None:
    touch(tmp_path / "song.wav")
    touch(tmp_path / "stems" / "song" / "bass.wav")  # below the output: whatever it is
    made = tmp_path / "old stems" / "song"
    for name in ("vocals.wav", "mine.wav"):
        touch(made / name)
    listed = {"file": "vocals.wav", "bytes": 1, "sha256": "0" * 64}
    record = {"schema": RECORD_SCHEMA, "key": "k", "recipe": "r", "song": "song", "input": {}, "report": {}}
    (made / RECORD_FILE).write_bytes(to_json({**record, "stems": {"vocals": listed}}))
    notes: list[str] = []
    songs = find_songs([tmp_path], output=tmp_path / "stems", on_note=notes.append)
    assert [song.name for song in songs] == ["old stems/song/mine", "song"]
    assert notes == [f"{tmp_path}: skipped 1 stem of earlier separations; name them one by one if they are songs"]
    (made / "mine.wav").unlink()
    with pytest.raises(InputError, match=r"no song below this folder but 1 stem of earlier separations"):
        find_songs([made])
    (made / "mine.wav").write_bytes(b"x")
    assert [song.name for song in find_songs([made], output=made)] == ["mine"]  # the output is the folder itself


def test_a_folder_without_songs_shows_the_layout(tmp_path: Path) -> None:
    touch(tmp_path / "a.txt")
    with pytest.raises(InputError) as caught:
        find_songs([tmp_path])
    assert str(caught.value) == (
        f"{tmp_path}: there is no song below this folder. It should contain audio files, or folders <song>/mixture.wav."
    )


def test_missing_inputs_and_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone.wav: there is no such file or folder. Check the path"):
        find_songs([tmp_path / "gone.wav"])
    with pytest.raises(InputError, match="no song was given"):
        find_songs([])


def test_songs_of_one_name_are_told_apart_and_a_file_given_twice_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = touch(tmp_path / "disc1" / "01.wav"), touch(tmp_path / "disc2" / "01.wav")
    (tmp_path / "link.wav").symlink_to(first)
    monkeypatch.chdir(tmp_path)
    notes: list[str] = []
    given = [first, "disc1/../disc1/01.wav", second, touch(tmp_path / "other.wav"), tmp_path / "link.wav"]
    songs = find_songs(given, on_note=notes.append)
    assert [song.name for song in songs] == ["disc1/01", "disc2/01", "other", "link"]
    assert notes == [
        "disc1/../disc1/01.wav was given more than once; it is separated once",
        "several songs are called '01'; their stems are written to disc1/01, disc2/01",
    ]
    assert [song.name for song in find_songs([touch(tmp_path / "a.wav"), touch(tmp_path / "a.flac")])] == [
        "a.wav",
        "a.flac",
    ]


def test_decomposed_letters_are_kept(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "Über")
    assert find_songs([touch(tmp_path / f"{name}.wav")])[0].name == name


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, os.strerror(13), str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\). Change its permissions"):
        find_songs([tmp_path])


def test_a_song_without_a_name_is_nonsense() -> None:
    with pytest.raises(ValueError, match="without a name"):
        SongInput("", Path("a.wav"))


def test_what_a_search_passes_over_is_counted(tmp_path: Path) -> None:
    for name in ("a/mixture.wav", "b/other.wav", "c.stem.mp4", "d.WAV", "e.wav", "f", ".hidden.wav"):
        touch(tmp_path / name)
    notes: list[str] = []
    assert [song.name for song in find_songs([tmp_path], on_note=notes.append)] == ["a", "c"]
    assert notes == [
        f"{tmp_path}: skipped 4 files (3 .wav, 1 without a suffix); name them one by one if they are songs"
    ]


def test_a_search_takes_whatever_the_decoders_read() -> None:
    suffixes = {Path(f"a.{suffix}").suffix for suffix in FORMATS}
    assert suffixes <= AUDIO_SUFFIXES
    assert is_audio(Path("a.M4B"))
    assert not is_audio(Path("cover.jpg"))
