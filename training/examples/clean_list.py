"""Lists of clean songs, for collections with label noise."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from my_submission.errors import InputError
from terminal.documents import DocumentError, read_bounded
from training.data.songs import SongCollection

_MAX_BYTES = 4 << 20
"""Size limit of a list; a row has some tens of bytes."""

CLEAN = "Y"
"""Value of the column Clean for songs with correct labels."""


def clean_songs(path: Path) -> frozenset[str]:
    """Read the names of the clean songs from a CSV table with the columns ID, Clean and optionally Notes.

    Raises:
        InputError: the file cannot be read, lacks a column, or marks no song as clean.
    """
    try:
        text = read_bounded(path, max_bytes=_MAX_BYTES).decode("utf-8-sig")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        missing = {"ID", "Clean"} - set(rows.fieldnames or ())
        if missing:
            columns = " and ".join(sorted(missing))
            raise InputError(f"has no column {columns}", where=path, hint="give it the columns ID and Clean")
        names = frozenset((row["ID"] or "").strip() for row in rows if (row["Clean"] or "").strip().upper() == CLEAN)
    except (OSError, DocumentError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read ({error})", where=path, hint="correct data.clean_list") from error
    if not names:
        raise InputError(f"marks no song with {CLEAN}", where=path, hint="mark the clean songs in the column Clean")
    return names


def only_clean(collections: Sequence[SongCollection], path: Path) -> list[SongCollection]:
    """Return the collections without the songs that are not marked as clean.

    Raises:
        InputError: the collections contain none of the clean songs, or the list cannot be read.
    """
    names = clean_songs(path)
    kept = [
        SongCollection(collection.name, songs, collection.weight)
        for collection in collections
        if (songs := tuple(song for song in collection.songs if song.name in names))
    ]
    if not kept:
        hint = "name the folder that contains them; song folders are named by the list's ID"
        raise InputError(f"none of its {len(names)} clean songs is in the data folders", where=path, hint=hint)
    return kept
