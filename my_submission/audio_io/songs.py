"""The songs of the inputs of a run, and their names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePath

from my_submission.audio_io.audio_suffixes import passed_over
from my_submission.audio_io.song_names import MIXTURE_FILE, STEM_FILE_SUFFIX, distinct_names, song_name
from my_submission.errors import InputError


@dataclass(frozen=True)
class SongInput:
    """One song to separate: ``name`` is the folder of its stems, ``path`` the file of the mixture."""

    name: str
    path: Path

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(f"a song without a name: {self.path}")


def find_songs(
    inputs: Iterable[str | PathLike[str]], *, on_note: Callable[[str], None] = lambda note: None
) -> list[SongInput]:
    """Return the songs of files and folders, those of a folder in natural order ("song 2" before "song 10").

    A folder with ``mixture.wav`` is one song. Any other folder stands for the songs in it in the challenge's layout
    (``<song>/mixture.wav``) and its ``.stem.mp4`` files. Hidden entries are ignored. Songs of the same name get
    different names (:func:`distinct_names`); a file that is given twice is one song.

    Args:
        inputs: files and folders.
        on_note: called with notes on names that were made longer, files given twice, and skipped files.

    Raises:
        InputError: an input is missing, or a folder holds no song.
    """
    songs = [song for given in inputs for song in _songs_of(Path(given), on_note)]
    if not songs:
        raise InputError("no song was given", hint="name an audio file, or a folder with <song>/mixture.wav")
    once = _without_repeats(songs, on_note)
    places = [Path(os.path.abspath(song.path)) for song in once]  # names must not depend on the targets of links
    names = distinct_names([song.name for song in once], places)
    tell_longer_names([song.name for song in once], names, on_note)
    return [SongInput(name, song.path) for name, song in zip(names, once, strict=True)]


def tell_longer_names(before: Sequence[str], after: Sequence[str], on_note: Callable[[str], None]) -> None:
    """Note the new names of songs that had the same name."""
    longer: dict[str, list[str]] = {}
    for old, new in zip(before, after, strict=True):
        if old != new:
            longer.setdefault(old, []).append(new)
    for name, names in longer.items():
        on_note(f"several songs are called {name!r}; their stems are written to {', '.join(names)}")


def _without_repeats(songs: Sequence[SongInput], on_note: Callable[[str], None]) -> list[SongInput]:
    """Return the songs without repeated files of the same name, also where the paths differ."""
    seen: set[tuple[str, int, int]] = set()
    once = []
    for song in songs:
        found = song.path.stat()
        key = (song.name, found.st_dev, found.st_ino)
        if key in seen:
            on_note(f"{song.path} was given more than once; it is separated once")
        else:
            once.append(song)
        seen.add(key)
    return once


def _songs_of(given: Path, on_note: Callable[[str], None]) -> Iterator[SongInput]:
    if given.is_dir():
        yield from _songs_in_folder(given, on_note)
    elif given.exists():
        yield SongInput(song_name(given), given)
    else:
        raise InputError("there is no such file or folder", where=given, hint="check the path for typing errors")


def _songs_in_folder(folder: Path, on_note: Callable[[str], None]) -> list[SongInput]:
    if (folder / MIXTURE_FILE).is_file():
        return [SongInput(song_name(folder / MIXTURE_FILE), folder / MIXTURE_FILE)]
    try:
        visible = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
        entries = sorted(visible, key=lambda entry: natural_key(entry.name))
    except OSError as error:
        raise InputError(
            f"the folder cannot be read ({error.strerror})", where=folder, hint="change its permissions (chmod u+rx)"
        ) from error
    files = [entry / MIXTURE_FILE if entry.is_dir() else entry for entry in entries]
    songs = [SongInput(song_name(file), file) for file in files if file.is_file() and is_mixture(file)]
    if not songs:
        raise InputError(
            "no song in this folder",
            where=folder,
            hint=f"it should hold <song>/{MIXTURE_FILE} or *{STEM_FILE_SUFFIX}; name other audio files one by one",
        )
    left = [entry for entry, file in zip(entries, files, strict=True) if not (file.is_file() and is_mixture(file))]
    n_folders = sum(entry.is_dir() for entry in left)
    if note := passed_over(folder, [entry for entry in left if not entry.is_dir()], n_folders=n_folders):
        on_note(note)
    return songs


def is_mixture(file: PurePath) -> bool:
    """Whether a file in a folder is a song by its name: ``mixture.wav`` or ``.stem.mp4``."""
    return file.name == MIXTURE_FILE or file.name.lower().endswith(STEM_FILE_SUFFIX)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that compares numbers in names by value ("song 2" before "song 10")."""
    parts = re.split(r"(\d+)", name.casefold())  # text and digits alternate: a position always holds the same type
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
