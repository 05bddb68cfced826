"""Files that appear under their final name only when they are complete.

A file is written as ``.<name>.<pid>.part`` beside its final place and renamed at the end. Its writer holds a lock
on it, so that a part left behind by a killed process is told from one being written, even by another container
with the same process ids.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: an open file cannot be deleted there, which serves as the lock
    fcntl = None  # type: ignore[assignment]

from my_submission.errors import OutputError

_logger = logging.getLogger(__name__)


class PartFile:
    """One file in the making.

    Args:
        final: the name it will have; its folder exists.

    Raises:
        OutputError: the folder cannot be written, or another run is writing this very file.
    """

    def __init__(self, final: Path) -> None:
        if final.is_dir():
            raise OutputError("a folder is where a file should go", where=final, cure="rename or remove that folder")
        self.final = final
        self.path = final.with_name(f".{final.stem}.{os.getpid()}.part")
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError as error:
            raise OutputError(
                "another run is writing this file", where=final, cure="wait for it, or choose another output folder"
            ) from error
        except OSError as error:
            raise output_error(error, final.parent) from error
        try_lock(self._descriptor)
        self._is_open = True

    def sync(self) -> None:
        """Wait until the content is on the disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise output_error(error, self.final) from error

    def commit(self) -> None:
        """Give the file its final name, replacing what had it before."""
        self._close()
        try:
            os.replace(self.path, self.final)
        except OSError as error:
            raise output_error(error, self.final) from error

    def discard(self) -> None:
        """Remove the file, unless it has its final name already."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self._close()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)


def remove_abandoned_parts(directory: Path, names: tuple[str, ...]) -> None:
    """Remove the parts of files called ``names`` whose writers are dead."""
    pattern = re.compile(rf"\.(?:{'|'.join(re.escape(name) for name in names)})\.\d+\.part")
    for path in directory.iterdir():
        if pattern.fullmatch(path.name) and _remove_if_abandoned(path):
            _logger.info("removed %s, left behind by a run that was killed", path)


def make_directory(directory: Path) -> list[Path]:
    """Make a folder and those above it; return the ones that are new, deepest first.

    Raises:
        OutputError: a file is in the way, or the place cannot be written.
    """
    missing = []
    for folder in (directory, *directory.parents):
        if folder.is_dir():
            break
        missing.append(folder)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remove_empty_directories(missing)
        raise output_error(error, directory) from error
    return missing


def remove_empty_directories(directories: list[Path]) -> None:
    """Remove folders, deepest first, as far as they are empty."""
    for directory in directories:
        with contextlib.suppress(OSError):
            directory.rmdir()


def sync_directory(directory: Path) -> None:
    """Wait until new names in a folder are on the disk, where the system can tell."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems do not offer it
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def output_error(error: OSError, where: Path) -> OutputError:
    """What a failure of the operating system means for a place to be written, and what to do."""
    problem, cure = {
        errno.EEXIST: ("a file is where a folder should be", "rename or remove it, or choose another output folder"),
        errno.ENOTDIR: ("a file is where a folder should be", "rename or remove it, or choose another output folder"),
        errno.EACCES: ("there is no permission to write here", "make it writable, or choose another output folder"),
        errno.EPERM: ("there is no permission to write here", "make it writable, or choose another output folder"),
        errno.EROFS: ("the file system is read-only", "choose another output folder"),
        errno.ENOSPC: ("the disk is full", "free some space there, or choose another output folder"),
        errno.EDQUOT: ("the disk quota is used up", "free some space there, or choose another output folder"),
        errno.ENAMETOOLONG: ("the name is too long for this file system", "choose a shorter one"),
    }.get(error.errno or 0, (f"it cannot be written ({error.strerror or error})", "choose another output folder"))
    return OutputError(problem, where=where, cure=cure)


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process; False when someone else holds it or locks are not to be had."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_if_abandoned(path: Path) -> bool:
    try:
        if fcntl is None:
            path.unlink()
            return True
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        if not try_lock(descriptor):
            return False
        path.unlink(missing_ok=True)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
