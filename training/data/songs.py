"""Song folders, ``<collection>/<song>/<source>.<npy|wav|flac|ogg|mp3|...>``."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from my_submission.errors import InputError
from my_submission.stems import ALIASES, MUSIC_SOURCES, SOURCE_SETS, Waveform
from training.data.splits import validation_order
from training.data.stems import SPOOL_SUFFIX, STEM_SUFFIXES, StemFile, open_stem

logger = logging.getLogger(__name__)

AUGMENTED_FOLDER = re.compile(r".*_p=-?\d+_t=-?\d+")
"""Names of folders of stretched copies, which contain the same songs under the same names."""

SHOWN_FILES = 4
"""Files named in a message."""

FILE_NAMES = {
    source: (source, *(alias for alias, meant in ALIASES.items() if meant == source))
    for sources in SOURCE_SETS
    for source in sources
}
"""File names of each source without suffix, in order of preference; DnR calls dialog ``speech``."""


@dataclass(frozen=True)
class TrainingSong:
    """A song and its stems."""

    name: str
    stems: Mapping[str, StemFile]

    @property
    def n_samples(self) -> int:
        """Length of the longest stem."""
        return max(stem.n_samples for stem in self.stems.values())

    def window(self, source: str, start: int, n_samples: int) -> Waveform:
        """Read ``float32 (2, n_samples)`` of a source; zeros if the song lacks it."""
        if source not in self.stems:
            return np.zeros((2, n_samples), dtype=np.float32)
        return self.stems[source].window(start, n_samples)

    def stacked(
        self, start: int = 0, n_samples: int | None = None, *, sources: Sequence[str] = MUSIC_SOURCES
    ) -> Waveform:
        """Read ``float32 (sources, 2, n_samples)`` in the order given; their sum is the mixture."""
        length = self.n_samples - start if n_samples is None else n_samples
        return np.stack([self.window(source, start, length) for source in sources])


@dataclass(frozen=True)
class SongCollection:
    """Songs of one folder, and the total weight they are drawn with; None weighs all songs equally."""

    name: str
    songs: tuple[TrainingSong, ...]
    weight: float | None = None

    @property
    def is_augmented(self) -> bool:
        """Whether it contains stretched copies of songs."""
        return AUGMENTED_FOLDER.fullmatch(self.name) is not None


def read_song(folder: Path) -> TrainingSong | None:
    """Return the song of a folder, or None if it contains no stem.

    Raises:
        InputError: a stem is not one.
    """
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    stems = {}
    for source, names in FILE_NAMES.items():
        candidates = (folder / f"{name}{suffix}" for name in names for suffix in STEM_SUFFIXES)
        path = next((path for path in candidates if path.name in there and path.is_file()), None)
        if path is not None:
            stems[source] = open_stem(path, song=folder.name, source=source)
    return TrainingSong(folder.name, stems) if stems else None


def require_song(folder: Path) -> TrainingSong:
    """As :func:`read_song`, of a folder that must contain stems.

    Raises:
        InputError: it contains none, or a stem is not one.
    """
    song = read_song(folder)
    if song is None:
        raise InputError(
            f"contains no stem ({', '.join(FILE_NAMES)} as {SPOOL_SUFFIX} or audio)",
            where=folder,
            hint="name a song folder of the MUSDB18-HQ layout",
        )
    return song


def read_collection(folder: Path, weight: float | None = None) -> SongCollection:
    """Return all songs of a folder, sorted by name.

    Raises:
        InputError: the folder contains no song.
    """
    if not folder.is_dir():
        raise InputError("is not a folder", where=folder, hint="name a folder of song folders")
    children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    songs = tuple(song for child in children if (song := read_song(child)) is not None)
    if songs:
        _warn_of_slow_formats(folder, songs)
        return SongCollection(folder.name, songs, weight)
    if any(folder.glob("*.stem.mp4")):
        hint = f"decode them first: python -m training decode {folder}/*.stem.mp4 --collection NAME --corpus DIR"
        raise InputError("contains .stem.mp4 files, which cannot be read at random", where=folder, hint=hint)
    parts = [child.name for child in children if any(read_song(c) for c in child.iterdir() if c.is_dir())]
    hint = f"name the folders in it: {', '.join(parts)}" if parts else _layout_hint(children)
    raise InputError("contains no song folder", where=folder, hint=hint)


def _layout_hint(folders: Sequence[Path]) -> str:
    """Return the names that stems have, beside those found."""
    files = (path.name for folder in folders for path in sorted(folder.iterdir()) if path.suffix in STEM_SUFFIXES)
    found = ", ".join(list(dict.fromkeys(files))[:SHOWN_FILES])
    wanted = f"it should contain <song>/<source>.wav, of the sources {', '.join(FILE_NAMES)}"
    return f"{wanted}; it contains {found}" if found else wanted


def _warn_of_slow_formats(folder: Path, songs: Sequence[TrainingSong]) -> None:
    slow = [stem for song in songs for stem in song.stems.values() if not stem.is_seekable]
    if slow:
        suffixes = " ".join(sorted({stem.path.suffix for stem in slow}))
        message = "%s: %d stems are %s, decoded from the start for every window; python -m training decode is faster"
        logger.warning(message, folder, len(slow), suffixes)


def read_collections(folders: Sequence[Path], weights: Mapping[str, float]) -> list[SongCollection]:
    """Return the collections of a run.

    Args:
        folders: one folder per collection.
        weights: weight per folder name; empty weighs all songs equally.

    Raises:
        InputError: the names of folders and weights differ, or a folder contains no song.
    """
    names = [folder.resolve().name for folder in folders]
    if weights:
        unmatched = sorted(set(names) ^ set(weights))
        if unmatched:
            raise InputError(
                f"the data folders are {', '.join(names)}, but data.collections has {', '.join(weights)}",
                hint=f"give the folder and the weight of {', '.join(unmatched)}, or neither",
            )
    return [read_collection(f, weights.get(name)) for f, name in zip(folders, names, strict=True)]


def split(
    collections: Sequence[SongCollection], held_out: Collection[str]
) -> tuple[list[SongCollection], list[TrainingSong]]:
    """Split collections into those without the held-out songs, and the held-out songs in validation order.

    Held-out songs are removed from every collection, including stretched copies; only originals are validated on.
    """
    training: list[SongCollection] = []
    validation: dict[str, TrainingSong] = {}
    for collection in collections:
        kept = tuple(song for song in collection.songs if song.name not in held_out)
        if kept:
            training.append(SongCollection(collection.name, kept, collection.weight))
        if not collection.is_augmented:
            validation |= {song.name: song for song in collection.songs if song.name in held_out}
    return training, [validation[name] for name in validation_order(validation)]
