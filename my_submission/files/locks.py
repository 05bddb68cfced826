"""Locks between processes, which the operating system releases when their holder dies."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout, lock_descriptor

from my_submission.errors import OutputError
from my_submission.files.folders import output_error

HAS_LOCKS = os.name == "posix"
"""Whether an open file or folder can be locked and still be written, renamed and removed."""

_RETRY_SECONDS = 0.05

_logger = logging.getLogger(__name__)


def try_lock(descriptor: int, *, if_unsupported: bool = False) -> bool:
    """Lock an open file or folder for this process; return whether that worked.

    Args:
        descriptor: descriptor of the file or folder; closing it releases the lock.
        if_unsupported: the result if the system or the file system has no such locks.
    """
    if not HAS_LOCKS:
        return if_unsupported
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError:
        return if_unsupported


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, waiting while another process or thread holds it.

    The empty file stays: if it were removed, two later processes could lock two different files of one name.

    Raises:
        OutputError: the file cannot be made.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _logger.info("another process is writing to %s; waiting for it", path.parent)
            lock.acquire()
    except OSError as error:
        raise output_error(error, path.parent) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_folder(directory: Path, *, max_wait_seconds: float) -> Iterator[None]:
    """Lock a folder against other processes, on systems that can lock one; no lock file is left in it.

    Raises:
        OutputError: the folder cannot be opened, or another process holds it for longer than ``max_wait_seconds``.
    """
    if not HAS_LOCKS:
        yield
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise output_error(error, directory) from error
    try:
        until = time.monotonic() + max_wait_seconds
        while not try_lock(descriptor, if_unsupported=True):
            if time.monotonic() > until:
                raise OutputError(
                    "another run is writing to this folder",
                    where=directory,
                    hint="wait for it, or choose another output folder",
                )
            time.sleep(_RETRY_SECONDS)
        yield
    finally:
        os.close(descriptor)
