"""The songs of a catalogue: files, folders, patterns and lists, on any file system."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from my_submission.audio_io.decoding.audio_suffixes import is_audio, passed_over
from my_submission.audio_io.song_names import MIXTURE_FILE, distinct_names, folder_name
from my_submission.audio_io.song_names import song_name as name_of_file
from my_submission.audio_io.songs import songs_among, tell_longer_names
from my_submission.batch.outcomes import CatalogueSong
from my_submission.batch.remote_paths import RemotePath, Storage
from my_submission.errors import InputError

_PATTERN_SIGNS = frozenset("*?[")


def find_catalogue(
    inputs: Iterable[str],
    lists: Iterable[str],
    *,
    storage: Storage,
    output: RemotePath | None = None,
    on_note: Callable[[str], None] = lambda note: None,
) -> list[CatalogueSong]:
    """Return the songs of paths, URLs, patterns and lists, those of a folder in natural order.

    A folder with ``mixture.wav`` is one song. Any other folder stands for the songs below it in the challenge's layout
    (``<song>/mixture.wav``) and the ``.stem.mp4`` files, at any depth, or for every audio file below it where there
    are none of those. Such songs are named by their path in the folder. Hidden entries and files in ``output`` are
    left out. A list is a text file with one path or URL per line, optionally after a name and a tab; relative paths
    start from the folder of the list. Blank lines and lines that begin with # are left out.

    A named file that does not exist is a song as well: it fails in its turn, and the others are separated. A song that
    is found twice is separated once. Songs of the same name get the names of their folders in front, or their suffix
    if they are in one folder; names in a list are never changed.

    Args:
        inputs: paths, URLs and patterns.
        lists: text files.
        storage: access to files and folders.
        output: folder of the stems.
        on_note: called with notes on names that were made longer, songs found twice, and files that were skipped.

    Raises:
        InputError: a folder or pattern contains no song, a list is absent or empty, or lists give several songs the
            same name; the message names all of them.
        StorageError: a folder or list cannot be reached.
        UnknownNameError: the protocol of an input is unknown.
    """
    avoided = None if output is None else output.url.rstrip("/") + "/"
    found = [_Found(song) for given in inputs for song in _songs_of(storage.place(given), avoided, on_note)]
    found += [song for given in lists for song in _songs_of_list(storage.place(given), storage, avoided, on_note)]
    if not found:
        raise InputError("no song was given", hint="name a file, a folder, a URL, or a list with --list")
    counts = Counter(found)
    for entry, count in counts.items():
        if count > 1:
            on_note(f"{entry.song.url} was found {count} times; it is separated once")
    songs = _with_distinct_names(list(counts), on_note)
    for song in songs:
        _check_name(song)
    return songs


@dataclass(frozen=True)
class _Found:
    """A song, and whether its name comes from a list."""

    song: CatalogueSong
    is_named: bool = False


def _with_distinct_names(found: Sequence[_Found], on_note: Callable[[str], None]) -> list[CatalogueSong]:
    """Return the songs under different names.

    Raises:
        InputError: lists give one name to several songs.
    """
    _refuse_same_names([entry.song for entry in found if entry.is_named])
    before = [entry.song.name for entry in found]
    # A name from a list is a path without folders: it cannot be made longer, so the name of the other song changes.
    paths = [PurePosixPath(entry.song.name) if entry.is_named else _path_of(entry.song) for entry in found]
    names = distinct_names(before, paths)
    tell_longer_names(before, names, on_note)
    return [replace(entry.song, name=name) for entry, name in zip(found, names, strict=True)]


def _path_of(song: CatalogueSong) -> PurePosixPath:
    """Return folders and file of a song, for names; a URL without its protocol."""
    split = urlsplit(song.url)
    return PurePosixPath(f"{split.netloc}{unquote(split.path)}" if split.scheme else song.url)


def _refuse_same_names(named: Sequence[CatalogueSong]) -> None:
    """Refuse lists that give one name to several songs.

    Raises:
        InputError: they do; the message names all of them.
    """
    places: dict[str, list[str]] = {}
    for song in named:
        places.setdefault(song.name, []).append(song.url)
    alike = {name: urls for name, urls in places.items() if len(urls) > 1}
    if alike:
        listed = "; ".join(f"{name!r}: {', '.join(urls)}" for name, urls in alike.items())
        raise InputError(
            f"songs of the same name in the lists would overwrite each other: {listed}", hint="give each its own name"
        )


def _songs_of(place: RemotePath, avoided: str | None, on_note: Callable[[str], None]) -> Iterator[CatalogueSong]:
    if not _is_file_by_name(place) and place.is_folder():
        yield from _songs_in_folder(place, avoided, on_note)
    elif _PATTERN_SIGNS & set(place.file_name) and not (place.is_local and place.local.exists()):
        found = place.matches()
        if not found:
            raise InputError("nothing matches this pattern", where=place.url, hint="check it for typing errors")
        for match in found:
            yield from _songs_of(match, avoided, on_note)
    else:
        yield CatalogueSong(_name_of(place), place.url)


def _is_file_by_name(place: RemotePath) -> bool:
    """Whether the name shows that this is a file, so that a store is not queried for every line of a long list."""
    is_plain = not _PATTERN_SIGNS & set(place.file_name)
    return is_plain and not place.is_local and is_audio(PurePosixPath(place.file_name))


def _songs_in_folder(folder: RemotePath, avoided: str | None, on_note: Callable[[str], None]) -> list[CatalogueSong]:
    files = [
        PurePosixPath(file)
        for file in folder.files()
        if not any(part.startswith(".") for part in PurePosixPath(file).parts)
        and not (avoided and avoided != folder.url.rstrip("/") + "/" and folder.child(file).url.startswith(avoided))
    ]
    for unread in _unreadable_folders(folder):
        on_note(unread)
    readable = unquote if folder.is_on_the_web else str
    if PurePosixPath(MIXTURE_FILE) in files:
        return [CatalogueSong(_name_of(folder.child(MIXTURE_FILE)), folder.child(MIXTURE_FILE).url)]
    among = songs_among(files, readable=readable)
    if not among.songs:
        raise InputError("no song below this folder", where=folder.url, hint="it should contain audio files")
    if note := passed_over(folder.url, among.left):
        on_note(note)
    return [CatalogueSong(name.as_posix(), folder.child(file.as_posix()).url) for name, file in among.songs]


def _unreadable_folders(folder: RemotePath) -> list[str]:
    """Return a note per local folder that may not be read; fsspec leaves such folders out."""
    if not folder.is_local:
        return []
    errors: list[OSError] = []
    for _ in os.walk(folder.local, onerror=errors.append):
        pass
    return [f"{error.filename} cannot be read ({error.strerror}); its songs are left out" for error in errors]


def _songs_of_list(
    place: RemotePath, storage: Storage, avoided: str | None, on_note: Callable[[str], None]
) -> Iterator[_Found]:
    content = place.read()
    if content is None:
        raise InputError("there is no such list", where=place.url, hint="check the path for typing errors")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("this list is not UTF-8 text", where=place.url, hint="name songs without --list") from error
    for line in lines:
        name, tab, url = line.strip().rpartition("\t")
        if not url or line.lstrip().startswith("#"):
            continue
        is_relative = "://" not in url and not PurePosixPath(url).is_absolute()
        named = place.parent.child(url) if is_relative else storage.place(url)
        if tab:
            yield _Found(CatalogueSong(name.strip(), named.url), is_named=True)
        else:
            yield from map(_Found, _songs_of(named, avoided, on_note))


def _name_of(place: RemotePath) -> str:
    """Return the name of a song that is one file, or a folder with one song."""
    if place.file_name.lower() == MIXTURE_FILE:
        return folder_name(place.parent.file_name)
    return name_of_file(place.file_name)


def _check_name(song: CatalogueSong) -> None:
    """Refuse names outside the output folder or in its hidden part."""
    parts = PurePosixPath(song.name).parts
    if not parts or song.name.startswith("/") or any(part in {".", ".."} for part in parts) or parts[0] == ".batch":
        raise InputError(
            f"{song.name!r} cannot be the name of a song",
            where=song.url,
            hint="give it another one: a line NAME<tab>URL",
        )
