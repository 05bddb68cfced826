"""The error tree: every failure a user can mend says what is wrong, where, and what to do.

    MdxError
    ├── InputError        a file or array that cannot be separated
    ├── OutputError       a place that cannot be written
    ├── StorageError      files elsewhere that cannot be reached now
    ├── WeightsError      an artefact that is missing, damaged, unsafe or of the wrong shape
    ├── DeviceError       a device asked for that is not there
    │   └── DeviceMemoryError   a device that has too little memory for a batch
    └── UnknownNameError  a system, source, artefact or option that does not exist

Doors turn any ``MdxError`` into one line on standard error and exit code 1. Anything else is a bug
and keeps its traceback.
"""

from __future__ import annotations

from os import PathLike, fspath


class MdxError(Exception):
    """A failure with a cure.

    Args:
        problem: what is wrong, as one clause without a full stop.
        where: the file, folder or URL concerned, when there is one.
        hint: what the user can do about it, as one clause without a full stop.
    """

    def __init__(self, problem: str, *, where: str | PathLike[str] | None = None, hint: str | None = None) -> None:
        self.problem = problem
        self.where = None if where is None else fspath(where)
        self.hint = hint
        head = problem if self.where is None else f"{self.where}: {problem}"
        super().__init__(head if hint is None else f"{head}. {hint[:1].upper()}{hint[1:]}.")


class InputError(MdxError):
    """The audio given cannot be separated: unreadable, empty, not finite, or too many channels."""


class OutputError(MdxError):
    """A result cannot be written: no permission, no space, or a file in the way."""


class StorageError(MdxError):
    """A file system or object store does not answer or refuses; unlike a bad input, it may answer later."""


class WeightsError(MdxError):
    """An artefact is missing, damaged, unsafe to open, or does not fit the network it claims to be."""


class DeviceError(MdxError):
    """The device asked for is not there or refuses the network."""


class DeviceMemoryError(DeviceError):
    """The device has too little memory for a batch; a smaller one may fit."""


class UnknownNameError(MdxError):
    """A system, source, artefact or option that does not exist."""
