"""Folders that are made and flushed, and errors of the operating system in the words of this program."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from my_submission.errors import OutputError

_IN_THE_WAY = ("a file is where a folder should be", "rename or remove it, or choose another output folder")
_NO_PERMISSION = ("there is no permission to write here", "make it writable, or choose another output folder")
_MEANINGS = {
    errno.EEXIST: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EROFS: ("the file system is read-only", "choose another output folder"),
    errno.ENOSPC: ("the disk is full", "free some space there, or choose another output folder"),
    errno.EDQUOT: ("the disk quota is used up", "free some space there, or choose another output folder"),
    errno.ENAMETOOLONG: ("the name is too long for this file system", "choose a shorter one"),
}


def make_directory(directory: Path) -> list[Path]:
    """Make a folder and those above it; return the ones that are new, deepest first.

    Raises:
        OutputError: a file is in the way, or the folder cannot be made.
    """
    missing = []
    for folder in (directory, *directory.parents):
        if os.path.isdir(folder):  # Path.is_dir raises below a folder that may not be searched
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
    """Wait until new names in a folder are on the disk, if the system can tell."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems do not offer it
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def output_error(error: OSError, where: Path) -> OutputError:
    """Return what a failure of the operating system means for a file or folder to be written, and what to do."""
    unknown = (f"it cannot be written ({error.strerror or error})", "choose another output folder")
    problem, hint = _MEANINGS.get(error.errno or 0, unknown)
    return OutputError(problem, where=where, hint=hint)
