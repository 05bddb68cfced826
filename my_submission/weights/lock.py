"""One process at a time, by a lock that the operating system takes back when its holder dies."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from my_submission.errors import OutputError

logger = logging.getLogger(__name__)

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)  # itself waits up to ten seconds
        except OSError:
            return False
        return True

    def _lock(descriptor: int) -> None:
        while not _try_lock(descriptor):
            pass
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; wait while another process (or thread) holds it.

    The empty file stays: removing it would let two later processes lock two different files of one name.

    Raises:
        OutputError: the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror})", where=path.parent, hint="choose a models folder you may write to"
        ) from error
    try:
        if not _try_lock(descriptor):
            logger.info("another process is fetching into %s; waiting for it", path.parent)
            _lock(descriptor)
        yield
    finally:
        os.close(descriptor)
