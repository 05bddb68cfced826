"""A part of a file as a file object: one of several joined recordings, or samples without their header."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _PartReader(io.RawIOBase):
    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file, self._start, self._stop = file, start, stop
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._stop - self._start}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} is before the start")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(0, self._stop - self._start - self._position))
        self._file.seek(self._start + self._position)
        data = self._file.read(wanted)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass(frozen=True)
class FilePart:
    """The bytes [start, stop) of a file; up to its end where ``stop`` is None."""

    path: Path
    start: int = 0
    stop: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether this is the whole file."""
        return not self.start and self.stop is None

    def open(self) -> BinaryIO:
        """Open it for reading; offsets count from ``start``."""
        file = self.path.open("rb")
        if self.is_whole:
            return file
        stop = os.fstat(file.fileno()).st_size if self.stop is None else self.stop
        return cast("BinaryIO", io.BufferedReader(_PartReader(file, self.start, stop)))


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file or part in bytes; the position moves to the end."""
    return file.seek(0, os.SEEK_END)


def is_silent(file: BinaryIO, start: int) -> bool:
    """Whether there are only zeros from ``start`` on, as in a file that is padded to disk blocks."""
    file.seek(start)
    while block := file.read(1 << 20):
        if block.count(0) != len(block):
            return False
    return True
