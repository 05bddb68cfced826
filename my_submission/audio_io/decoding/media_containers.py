"""Opening untrusted files with FFmpeg's libraries (PyAV)."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from my_submission.errors import InputError


def import_av(path: Path) -> Any:
    """Return the module ``av``.

    Raises:
        InputError: PyAV is not installed, so this file cannot be read.
    """
    try:
        import av
    except ImportError as error:
        raise InputError(
            "libsndfile cannot read all of this file, and PyAV is not installed",
            where=path,
            hint="pip install av, or convert the file to WAV first",
        ) from error
    return av


def open_container(av: Any, file: BinaryIO, settings: Mapping[str, str] | None = None) -> Any:
    """Return an open container.

    No protocol is allowed: a playlist in disguise must not open other files or addresses.
    """
    options = {"protocol_whitelist": "none", **(settings or {})}
    return av.open(_QuietFile(file), options=options, **_text_options(av))


class _QuietFile:
    """A file object that does not raise on invalid offsets of damaged headers, because PyAV prints such errors."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.tell = file.read, file.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset; return a negative number if it is invalid."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


def _text_options(av: Any) -> dict[str, str]:
    """Return options with which ``av.open`` accepts metadata that is not UTF-8; PyAV 19 needs none."""
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
