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
from collections.abc import Iterable
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
        refuse_folder(final)
        self.final = final
        self.path = final.with_name(f".{final.stem}.{os.getpid()}.part")
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError as error:
            raise OutputError(
                "another run is writing this file", where=final, hint="wait for it, or choose another output folder"
            ) from error
        except OSError as error:
            raise output_error(error, final.parent) from error
        try_lock(self._descriptor)
        self._is_open, self._is_released = True, False

    @classmethod
    def adopt(cls, file: Path, final: Path) -> PartFile:
        """Return a part file with the content of ``file``, which lies on the same file system and is moved."""
        part = cls(final)
        try:
            os.replace(file, part.path)
            os.close(part._descriptor)
            part._descriptor = os.open(part.path, os.O_RDWR)
        except OSError as error:
            part.discard()
            raise output_error(error, final) from error
        try_lock(part._descriptor)
        return part

    def sync(self) -> None:
        """Wait until the content is on the disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise output_error(error, self.final) from error

    def commit(self) -> None:
        """Give the file its final name, replacing what had it before."""
        if fcntl is None:  # Windows renames no open file
            self._close()
        try:
            os.replace(self.path, self.final)
        except OSError as error:
            raise output_error(error, self.final) from error
        self._close()

    def release(self) -> None:
        """Close the complete file and leave its renaming to a journal, which has its name."""
        self._is_released = True
        self._close()

    def discard(self) -> None:
        """Remove the file, unless it has its final name already or was released."""
        if not self._is_released:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
        self._close()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)


def refuse_folder(final: Path) -> None:
    """Refuse a folder where a file is to be written.

    Raises:
        OutputError: there is one.
    """
    if final.is_dir():
        raise OutputError("a folder is where a file should go", where=final, hint="rename or remove that folder")


def write_whole(path: Path, content: bytes) -> None:
    """Make or replace a file in a folder that exists: whole or not at all. A device or pipe is written to instead.

    Raises:
        OutputError: the folder cannot be written, or another run is writing this very file.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        try:
            path.write_bytes(content)
        except OSError as error:
            raise output_error(error, path) from error
        return
    remove_abandoned_parts(path.parent, (path.stem,))
    part = PartFile(path)
    try:
        part.path.write_bytes(content)
        part.sync()
        part.commit()
    except BaseException as error:
        part.discard()
        if isinstance(error, OSError):
            raise output_error(error, path) from error
        raise


def has_part_name(file_name: str, names: Iterable[str]) -> bool:
    """Whether a file is called like the part file of a file called one of ``names``, without suffix."""
    name, _, rest = file_name.removeprefix(".").rpartition(".part")[0].rpartition(".")
    return file_name == f".{name}.{rest}.part" and rest.isdecimal() and name in set(names)


def remove_abandoned_parts(directory: Path, names: Iterable[str]) -> None:
    """Remove the parts of files called ``names`` whose writers are dead."""
    known = frozenset(names)
    try:
        found = [entry for entry in os.listdir(directory) if has_part_name(entry, known)]
    except OSError as error:
        raise output_error(error, directory) from error
    for name in found:
        if _remove_if_abandoned(directory / name):
            _logger.info("removed %s, left behind by a run that was killed", directory / name)


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
    problem, hint = {
        errno.EEXIST: ("a file is where a folder should be", "rename or remove it, or choose another output folder"),
        errno.ENOTDIR: ("a file is where a folder should be", "rename or remove it, or choose another output folder"),
        errno.EACCES: ("there is no permission to write here", "make it writable, or choose another output folder"),
        errno.EPERM: ("there is no permission to write here", "make it writable, or choose another output folder"),
        errno.EROFS: ("the file system is read-only", "choose another output folder"),
        errno.ENOSPC: ("the disk is full", "free some space there, or choose another output folder"),
        errno.EDQUOT: ("the disk quota is used up", "free some space there, or choose another output folder"),
        errno.ENAMETOOLONG: ("the name is too long for this file system", "choose a shorter one"),
    }.get(error.errno or 0, (f"it cannot be written ({error.strerror or error})", "choose another output folder"))
    return OutputError(problem, where=where, hint=hint)


def try_lock(descriptor: int, *, if_unsupported: bool = False) -> bool:
    """Lock an open file for this process; False when someone else holds it.

    Args:
        descriptor: of the file.
        if_unsupported: the answer where locks are not to be had.
    """
    if fcntl is None:
        return if_unsupported
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return if_unsupported
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
