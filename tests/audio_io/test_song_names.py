"""Names of output folders: inside the output whatever a file is called, and different for different songs."""

from __future__ import annotations

import random
from pathlib import Path, PurePosixPath

import pytest

from my_submission.audio_io import InputFiles, OutputPlaces, distinct_names, folder_name, song_name
from my_submission.errors import OutputError

ODD = [
    ".",
    "..",
    "...",
    "",
    "/",
    "a/b",
    "../a",
    "a\\..\\b",
    "\0",
    "..\\",
    "~",
    "-",
    " ",
    "a\nb",
    "con",
    "CON.wav",
    "a. ",
]


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("is_windows", [True, False])
def test_every_text_becomes_one_folder_of_the_output(text: str, is_windows: bool) -> None:
    name = folder_name(text, is_windows=is_windows)
    assert name.strip(".")
    assert not set(name) & set("/\\\0")
    assert PurePosixPath("out", name).parent == PurePosixPath("out")
    assert folder_name(name, is_windows=is_windows) == name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("...wav", "...wav"),
        ("..wav", "..wav"),
        (".wav", ".wav"),
        ("....", "____"),
        (".", "song"),
        ("a\\..\\..\\b.wav", "a_.._.._b"),
        ("song .wav", "song "),
        ("bad\udcff\udcfe.wav", "bad\udcff\udcfe"),
    ],
)
def test_song_names_of_unusual_file_names(file: str, name: str) -> None:
    assert song_name(Path("music") / file if file != "." else file) == name


def test_reserved_names_are_changed_on_windows_only() -> None:
    given = ["aux", "Com1.b", "a?b", "end. ", "console"]
    assert [folder_name(name, is_windows=True) for name in given] == ["_aux", "_Com1.b", "a_b", "end__", "console"]
    assert [folder_name(name, is_windows=False) for name in given] == given


def test_the_mixture_of_a_folder_above_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Tune" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "Tune" / "inner")
    assert song_name("../mixture.wav") == "Tune"


@pytest.mark.parametrize(
    ("songs", "names"),
    [
        ({"/m/a.wav": "a", "/m/b.wav": "b"}, ["a", "b"]),
        ({"/m/disc1/01.wav": "01", "/m/disc2/01.wav": "01", "/m/disc1/02.wav": "02"}, ["disc1/01", "disc2/01", "02"]),
        ({"/m/x/cd/01.wav": "01", "/m/y/cd/01.wav": "01"}, ["x/cd/01", "y/cd/01"]),
        ({"/m/01.flac": "01", "/m/01.wav": "01", "/n/01.wav": "01"}, ["01.flac", "01.wav", "n/01"]),
        ({"/m/a/One/mixture.wav": "One", "/m/b/One/mixture.wav": "One"}, ["a/One", "b/One"]),
        ({"/m/a/One/mixture.wav": "One", "/m/b/One.wav": "One"}, ["a/One", "b/One"]),
        ({"/m/a/01.wav": "01", "/m/b/01.wav": "01", "/z.wav": "a/01"}, ["m/a/01", "b/01", "a/01"]),
        ({"/r/b/s.wav": "b/s", "/q/b/s.wav": "b/s"}, ["r/b/s", "q/b/s"]),
        ({"/01.wav": "01", "/m/01.wav": "01"}, ["01", "m/01"]),
    ],
)
def test_songs_of_one_name_are_told_apart(songs: dict[str, str], names: list[str]) -> None:
    order = list(range(len(songs)))
    for seed in range(4):
        random.Random(seed).shuffle(order)
        places = [PurePosixPath(list(songs)[index]) for index in order]
        found = distinct_names([list(songs.values())[index] for index in order], places)
        assert found == [names[index] for index in order]


@pytest.mark.parametrize("link", ["same", "symbolic", "hard", "folder"])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("stem", ["bass", "vocals"])
def test_an_input_is_known_whatever_it_is_called(tmp_path: Path, link: str, suffix: str, stem: str) -> None:
    target = tmp_path / "out" / stem / f"{stem}.{suffix}"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"the song")
    given = {"same": target, "folder": tmp_path / "link" / target.name}.get(link, tmp_path / "elsewhere.wav")
    if link == "symbolic":
        given.symlink_to(target)
    elif link == "hard":
        given.hardlink_to(target)
    elif link == "folder":
        given.parent.symlink_to(target.parent)
    with pytest.raises(OutputError, match="would be replaced, but it is an input") as caught:
        InputFiles([given]).refuse_as_stems(target.parent, ("bass", "drums", "vocals"))
    assert caught.value.where == str(target)
    InputFiles([given]).refuse_as_stems(target.parent, ("dialog",))
    InputFiles([tmp_path / "absent.wav"]).refuse_as_stems(target.parent, ("bass",))


def test_two_names_of_one_folder_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "Song").mkdir()
    (tmp_path / "song").symlink_to(tmp_path / "Song")  # as where a file system ignores case
    folders = OutputPlaces()
    folders.refuse_taken(tmp_path / "Song", "Song")
    folders.take(tmp_path / "Song", "Song")
    with pytest.raises(OutputError, match="'song' would replace the stems of 'Song'"):
        folders.refuse_taken(tmp_path / "song", "song")
    folders.refuse_taken(tmp_path / "other", "other")
