"""Errors that a user can fix: each says what is wrong, where, and what to do.

    MdxError
    ├── InputError        a file or array that cannot be separated
    ├── OutputError       a file or folder that cannot be written
    ├── StorageError      remote files that cannot be reached now
    ├── WeightsError      an artefact that is missing, damaged, unsafe or of the wrong shape
    ├── DeviceError       a requested device that is not available
    │   └── DeviceMemoryError   a device that has too little memory for a batch
    └── UnknownNameError  a system, source, artefact or option that does not exist

Entry points turn any ``MdxError`` into one line on standard error and exit code 1. Any other exception is a bug and
keeps its traceback.
"""

from __future__ import annotations

from os import PathLike, fspath


class MdxError(Exception):
    """A failure that a user can fix.

    Args:
        problem: what is wrong, as one clause without a full stop.
        where: the file, folder or URL concerned, when there is one.
        hint: how to fix it, as one clause without a full stop.
    """

    def __init__(self, problem: str, *, where: str | PathLike[str] | None = None, hint: str | None = None) -> None:
        self.problem = problem
        self.where = None if where is None else fspath(where)
        self.hint = hint
        head = problem if self.where is None else f"{self.where}: {problem}"
        super().__init__(head if hint is None else f"{head}. {hint[:1].upper()}{hint[1:]}.")


class InputError(MdxError):
    """The audio cannot be separated: unreadable, empty, not finite, or too many channels."""


class OutputError(MdxError):
    """A file or folder cannot be written: no permission, no space, or another file has its name."""


class StorageError(MdxError):
    """A file system or object store cannot be reached; unlike a broken input, this may be temporary."""


class WeightsError(MdxError):
    """An artefact is missing, damaged, unsafe to open, or does not fit its network."""


class DeviceError(MdxError):
    """The requested device is not available or cannot run the network."""


class DeviceMemoryError(DeviceError):
    """The device has too little memory for a batch; a smaller one may fit."""


class UnknownNameError(MdxError):
    """A system, source, artefact or option that does not exist."""
