"""Songs of generated stems, written one by one; an interrupted run continues where it stopped."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from my_submission.errors import InputError, MdxError
from training.data.stems import SPOOL_SUFFIX, Pcm, write_stem

logger = logging.getLogger(__name__)


@contextmanager
def whole_song(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Make a song folder that appears complete, or not at all.

    Yields:
        The folder to make and fill, which gets the name ``folder`` at the end of the with block, and a folder for other
        temporary files, which is removed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".song-", dir=folder.parent) as scratch:
        parts = Path(scratch) / "song"
        yield parts, Path(scratch)
        os.replace(parts, folder)


def write_songs(collection: Path, prefix: str, numbers: range, write: Callable[[Path, int], None]) -> int:
    """Write ``collection/<prefix>-<number>`` for every number. A song that fails does not stop the others.

    Args:
        collection: folder of the songs.
        prefix: prefix of their names.
        numbers: numbers of the songs.
        write: writes the song of a folder and a number, unless it exists.

    Returns:
        Number of songs that exist now.

    Raises:
        InputError: songs failed; the first ones are named.
    """
    failures = []
    for number in numbers:
        folder = collection / f"{prefix}-{number:04d}"
        try:
            write(folder, number)
        except MdxError as error:
            logger.warning("%s: %s", folder.name, error)
            failures.append(str(error))
    if failures:
        raise InputError(f"{len(failures)} of {len(numbers)} songs failed: {'; '.join(failures[:5])}", where=collection)
    return len(numbers)


def write_missing(folder: Path, source: str, make: Callable[[], Pcm | None]) -> bool:
    """Write ``folder/<source>.npy`` unless it exists.

    Args:
        folder: the song folder.
        source: name of the stem.
        make: returns the stem, int16 ``(samples, 2)``, or None if it cannot be made.

    Returns:
        Whether the stem exists now.
    """
    if (folder / f"{source}{SPOOL_SUFFIX}").is_file():
        return True
    pcm = make()
    if pcm is None or not write_stem(folder, source, pcm):
        return False
    logger.info("wrote %s", folder.name)
    return True
