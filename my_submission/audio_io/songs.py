"""The songs of the inputs of a run, and their names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePath, PurePosixPath

from my_submission.audio_io.decoding.audio_suffixes import STEM_FILE_SUFFIX, is_audio, passed_over
from my_submission.audio_io.folder_files import FolderFiles
from my_submission.audio_io.song_names import MIXTURE_FILE, distinct_names, folder_name, song_name
from my_submission.errors import InputError
from terminal.quantities import counted


@dataclass(frozen=True)
class SongInput:
    """One song to separate: ``name`` is the folder of its stems, ``path`` the file of the mixture."""

    name: str
    path: Path

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(f"a song without a name: {self.path}")


@dataclass(frozen=True)
class FolderSongs:
    """Songs among the files of a folder.

    Attributes:
        songs: name and file of every song, in natural order; both are paths in the folder.
        left: the other files, without the references beside a mixture.
    """

    songs: tuple[tuple[PurePosixPath, PurePosixPath], ...]
    left: tuple[PurePosixPath, ...]


def songs_among(files: Collection[PurePosixPath], *, readable: Callable[[str], str] = str) -> FolderSongs:
    """Return the songs among the files of a folder, named by their path in it.

    These are the songs in the challenge's layout (``<song>/mixture.wav``) and the ``.stem.mp4`` files, or every audio
    file if there are none of those.

    Args:
        files: paths in the folder.
        readable: turns a path into the one that names are made of.
    """
    chosen = [file for file in files if is_mixture(file)] or [file for file in files if is_audio(file)]
    of_songs = {file.parent for file in chosen if file.name == MIXTURE_FILE}
    left = set(files) - set(chosen)
    named = [(_name_below(PurePosixPath(readable(file.as_posix()))), file) for file in chosen]
    named.sort(key=lambda song: [natural_key(part) for part in song[0].parts])
    return FolderSongs(tuple(named), tuple(file for file in left if file.parent not in of_songs))


def find_songs(
    inputs: Iterable[str | PathLike[str]],
    *,
    output: Path | None = None,
    on_note: Callable[[str], None] = lambda note: None,
) -> list[SongInput]:
    """Return the songs of files and folders, those of a folder in natural order ("song 2" before "song 10").

    A folder with ``mixture.wav`` is one song. Any other folder stands for the songs below it at any depth
    (:func:`songs_among`). Left out are hidden entries, files below ``output``, and stems that a ``separation.json``
    lists. Songs of the same name get different names (:func:`distinct_names`); a file that is given twice is one song.

    Args:
        inputs: files and folders.
        output: folder of the stems.
        on_note: called with notes on names that were made longer, files given twice, and what was left out.

    Raises:
        InputError: an input is missing, or a folder contains no song.
    """
    songs = [song for given in inputs for song in _songs_of(Path(given), output, on_note)]
    if not songs:
        raise InputError("no song was given", hint="name an audio file, or a folder of songs")
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
    """Return the songs without repeated files of the same name, even if the paths differ."""
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


def _songs_of(given: Path, output: Path | None, on_note: Callable[[str], None]) -> Iterator[SongInput]:
    if given.is_dir():
        yield from _songs_in_folder(given, output, on_note)
    elif given.exists():
        yield SongInput(song_name(given), given)
    else:
        raise InputError("there is no such file or folder", where=given, hint="check the path for typing errors")


def _songs_in_folder(folder: Path, output: Path | None, on_note: Callable[[str], None]) -> list[SongInput]:
    if (folder / MIXTURE_FILE).is_file():
        return [SongInput(song_name(folder / MIXTURE_FILE), folder / MIXTURE_FILE)]
    found = FolderFiles.below(folder, avoided=output)
    for unread in found.notes:
        on_note(unread)
    among = songs_among(found.files)
    if not among.songs:
        stems = f" but {counted(found.n_stems, 'stem')} of earlier separations" if found.n_stems else ""
        raise InputError(
            f"there is no song below this folder{stems}",
            where=folder,
            hint=f"it should contain audio files, or folders <song>/{MIXTURE_FILE}",
        )
    if note := passed_over(folder, among.left, n_stems=found.n_stems):
        on_note(note)
    return [SongInput(name.as_posix(), folder / file) for name, file in among.songs]


def _name_below(path: PurePosixPath) -> PurePosixPath:
    """Return the name of a song by its path in the folder that was searched."""
    folders = [folder_name(part) for part in path.parent.parts]
    is_folder = path.name.lower() == MIXTURE_FILE
    return PurePosixPath(*folders) if is_folder else PurePosixPath(*folders, song_name(path.name))


def is_mixture(file: PurePath) -> bool:
    """Whether a file in a folder is a song by its name: ``mixture.wav`` or ``.stem.mp4``."""
    return file.name == MIXTURE_FILE or file.name.lower().endswith(STEM_FILE_SUFFIX)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that compares numbers in names by value ("song 2" before "song 10")."""
    parts = re.split(r"(\d+)", name.casefold())  # text and digits alternate: a position always holds the same type
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
