"""Which songs the inputs of a run mean, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePath

from my_submission.errors import InputError, OutputError

MIXTURE_FILE = "mixture.wav"
"""The challenge's layout: one folder a song, with the mixture under this name."""

_STEM_FILE_SUFFIX = ".stem.mp4"
"""MUSDB18's own format: the mixture is the first of five audio streams."""

AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".m4a", ".mp4", ".aac", ".wma", ".webm", ".mka"}
)
"""Suffixes of files that are taken for songs where a folder is searched; a file named by itself may have any."""


@dataclass(frozen=True)
class SongInput:
    """One song to separate: ``name`` becomes the folder of its stems, ``path`` is the mixture's file."""

    name: str
    path: Path

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(f"a song without a name: {self.path}")


def song_name(path: str | PathLike[str]) -> str:
    """The name of a song: its file's without suffixes, or its folder's for ``<song>/mixture.wav``."""
    file = Path(path)
    if file.name.lower() == MIXTURE_FILE:
        return file.absolute().parent.name or file.stem
    if file.name.lower().endswith(_STEM_FILE_SUFFIX) and len(file.name) > len(_STEM_FILE_SUFFIX):
        return file.name[: -len(_STEM_FILE_SUFFIX)]
    return file.stem


def find_songs(inputs: Iterable[str | PathLike[str]]) -> list[SongInput]:
    """The songs that files and folders stand for, folders in natural order ("song 2" before "song 10").

    A folder stands for the songs in it in the challenge's layout (``<song>/mixture.wav``) and for its
    ``.stem.mp4`` files, or is one song itself when it holds ``mixture.wav``. Hidden entries are ignored.

    Raises:
        InputError: an input is missing, a folder holds no song, or two songs have the same name.
    """
    songs = [song for given in inputs for song in _songs_of(Path(given))]
    if not songs:
        raise InputError("no song was given", cure="name an audio file, or a folder with <song>/mixture.wav")
    refuse_same_names((song.name, song.path) for song in songs)
    return songs


def _songs_of(given: Path) -> Iterator[SongInput]:
    if given.is_dir():
        yield from _songs_in_folder(given)
    elif given.exists():
        yield SongInput(song_name(given), given)
    else:
        raise InputError("there is no such file or folder", where=given, cure="check the path for typing errors")


def _songs_in_folder(folder: Path) -> list[SongInput]:
    if (folder / MIXTURE_FILE).is_file():
        return [SongInput(song_name(folder / MIXTURE_FILE), folder / MIXTURE_FILE)]
    try:
        visible = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
        entries = sorted(visible, key=lambda entry: natural_key(entry.name))
    except OSError as error:
        raise InputError(
            f"the folder cannot be read ({error.strerror})", where=folder, cure="change its permissions (chmod u+rx)"
        ) from error
    files = [entry / MIXTURE_FILE if entry.is_dir() else entry for entry in entries]
    songs = [SongInput(song_name(file), file) for file in files if file.is_file() and is_mixture(file)]
    if not songs:
        raise InputError(
            "no song in this folder",
            where=folder,
            cure=f"it should hold <song>/{MIXTURE_FILE} or *{_STEM_FILE_SUFFIX}; name other audio files one by one",
        )
    return songs


def is_mixture(file: PurePath) -> bool:
    """Whether a file in a folder is a song by its name alone: ``mixture.wav`` or a ``.stem.mp4``."""
    return file.name == MIXTURE_FILE or file.name.lower().endswith(_STEM_FILE_SUFFIX)


def refuse_own_folder(mixture: Path, directory: Path) -> None:
    """Refuse stems beside their mixture: they would replace the references of a data set.

    Raises:
        OutputError: ``directory`` is where the mixture of a song in the challenge's layout lies.
    """
    if mixture.name.startswith("mixture.") and directory.resolve() == mixture.resolve().parent:
        raise OutputError(
            "the stems would replace those that lie beside the mixture",
            where=directory,
            cure="choose another output folder with -o",
        )


def natural_key(name: str) -> tuple[list[str | int], str]:
    """What names are sorted by so that numbers in them compare by value ("song 2" before "song 10")."""
    parts = re.split(r"(\d+)", name.casefold())  # text and digits alternate: a position always holds the same type
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def refuse_same_names(songs: Iterable[tuple[str, str | PathLike[str]]]) -> None:
    """Refuse songs (name and place of each) whose stems would go into one folder.

    Raises:
        InputError: two have the same name.
    """
    seen: dict[str, str | PathLike[str]] = {}
    for name, place in songs:
        if name in seen:
            raise InputError(
                f"two inputs are called {name!r} and would overwrite each other: {seen[name]} and {place}",
                cure="rename one of them, or separate them into different output folders",
            )
        seen[name] = place
