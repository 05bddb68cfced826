"""Songs of generated stems, written one by one; an interrupted run continues where it stopped."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
