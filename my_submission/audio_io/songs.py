"""Which songs the inputs of a run mean, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from my_submission.errors import InputError

MIXTURE_FILE = "mixture.wav"
"""The challenge's layout: one folder a song, with the mixture under this name."""

_STEM_FILE_SUFFIX = ".stem.mp4"
"""MUSDB18's own format: the mixture is the first of five audio streams."""


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
    _refuse_same_names(songs)
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
        entries = sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=_natural_key)
    except OSError as error:
        raise InputError(
            f"the folder cannot be read ({error.strerror})", where=folder, cure="change its permissions (chmod u+rx)"
        ) from error
    files = [entry / MIXTURE_FILE if entry.is_dir() else entry for entry in entries]
    songs = [SongInput(song_name(file), file) for file in files if file.is_file() and _is_song(file)]
    if not songs:
        raise InputError(
            "no song in this folder",
            where=folder,
            cure=f"it should hold <song>/{MIXTURE_FILE} or *{_STEM_FILE_SUFFIX}; name other audio files one by one",
        )
    return songs


def _is_song(file: Path) -> bool:
    return file.name == MIXTURE_FILE or file.name.lower().endswith(_STEM_FILE_SUFFIX)


def _natural_key(path: Path) -> tuple[list[str | int], str]:
    """Numbers compare by value: text and digits alternate, so that a position always holds the same type."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name


def _refuse_same_names(songs: list[SongInput]) -> None:
    seen: dict[str, Path] = {}
    for song in songs:
        if song.name in seen:
            raise InputError(
                f"two inputs are called {song.name!r} and would overwrite each other: "
                f"{seen[song.name]} and {song.path}",
                cure="rename one of them, or separate them into different output folders",
            )
        seen[song.name] = song.path
