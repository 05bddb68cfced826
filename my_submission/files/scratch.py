"""Temporary folders that are locked while in use, and removed by the next run if their process was killed."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from my_submission.files.folders import make_directory, output_error
from my_submission.files.locks import try_lock

LOCK_NAME = ".lock"
"""Empty file in such a folder; its lock says that the folder is in use."""

_logger = logging.getLogger(__name__)


@contextmanager
def scratch_folder(base: Path, *, prefix: str) -> Iterator[Path]:
    """Make a new folder in ``base``, which is created if missing; abandoned ones of this prefix are removed first.

    Raises:
        OutputError: the folder cannot be made.
    """
    make_directory(base)
    remove_abandoned(base, prefix=prefix)
    folder, descriptor = _new_folder(base, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(base: Path, *, prefix: str) -> None:
    """Remove the folders of dead processes from ``base``, if there is such a folder."""
    for folder in base.glob(f"{prefix}*"):
        _remove_if_abandoned(folder)


def _new_folder(base: Path, prefix: str) -> tuple[Path, int]:
    """Return a folder and the descriptor of its locked file."""
    try:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
            descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
            if try_lock(descriptor, if_unsupported=True) and (folder / LOCK_NAME).exists():
                return folder, descriptor
            os.close(descriptor)  # another process took the folder for abandoned before it was locked
    except OSError as error:
        raise output_error(error, base) from error


def _remove_if_abandoned(folder: Path) -> None:
    """Remove the folder of a dead process; one without a lock file is just being made."""
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR)
    except OSError:
        return
    try:
        if try_lock(descriptor):
            _logger.info("removing %s, left behind by a process that was killed", folder)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
