"""A worker's folder for a song in the making, removed with it, or by the next worker if this one is killed."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from my_submission.audio_io.part_files import make_directory, output_error, try_lock

_logger = logging.getLogger(__name__)

_PREFIX = "mdx-batch-"
_LOCK_FILE = "lock"

_N_TRIES = 3
"""Where locks are not to be had at all, the last folder is taken as it is: nobody can take it for abandoned."""


@contextmanager
def scratch_folder(base: Path) -> Iterator[Path]:
    """A new folder in ``base``, which is made if need be; those of dead workers are removed first.

    A running worker holds a lock on a file in its folder, which the system takes back when the worker dies.

    Raises:
        OutputError: the place cannot be written.
    """
    make_directory(base)
    remove_abandoned(base)
    folder, descriptor = _new_folder(base)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(base: Path) -> None:
    """Remove what dead workers left in ``base``, if there is such a folder."""
    for folder in base.glob(f"{_PREFIX}*"):
        _remove_if_abandoned(folder)


def _new_folder(base: Path) -> tuple[Path, int]:
    """A folder and the descriptor of its locked file."""
    try:
        for _ in range(_N_TRIES):
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            descriptor = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
            if try_lock(descriptor) and (folder / _LOCK_FILE).exists():
                break  # otherwise another worker took it for abandoned before it was locked
    except OSError as error:
        raise output_error(error, base) from error
    return folder, descriptor


def _remove_if_abandoned(folder: Path) -> None:
    """Remove the folder of a dead worker; one that has no lock file yet is just being made."""
    try:
        descriptor = os.open(folder / _LOCK_FILE, os.O_RDWR)
    except OSError:
        return
    try:
        if try_lock(descriptor):
            _logger.info("removing %s, left behind by a worker that was killed", folder)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
