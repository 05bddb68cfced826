"""Interface of encoders, and the file that they write to."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from my_submission.audio_io.writing.audio_format import AudioFormat
from my_submission.audio_io.writing.encoders.codec_limits import FileShape
from my_submission.audio_io.writing.tags import SongTags
from my_submission.stems import Waveform

N_CHANNELS = 2


class EncodingError(Exception):
    """A stem cannot be encoded or written; the message is the reason, as one clause."""


@dataclass(frozen=True, kw_only=True)
class StemFile:
    """A stem's file that is to be written.

    Attributes:
        path: an existing, empty file.
        name: name of the stem; noise and serial numbers are derived from it, so that equal stems are equal files.
        audio_format: format of the file.
        shape: rate, length and bit rate of the file.
        is_rf64: whether a WAV is too large for sizes of 32 bits.
        tags: tags of the stem; None writes none.
    """

    path: Path
    name: str
    audio_format: AudioFormat
    shape: FileShape
    is_rf64: bool = False
    tags: SongTags | None = None


class Encoder(ABC):
    """An open file that takes blocks of a stem."""

    @abstractmethod
    def write(self, block: Waveform) -> None:
        """Append a block float32 (2, n) at the file's rate.

        Raises:
            EncodingError: it cannot be written.
        """

    @abstractmethod
    def close(self) -> None:
        """Complete the file.

        Raises:
            EncodingError: it cannot be written.
        """

    @abstractmethod
    def abandon(self) -> None:
        """Close an incomplete file; errors are ignored, because the file is removed."""


class OutputFile:
    """A file object whose errors are kept, because libsndfile and FFmpeg do not pass them on.

    Args:
        path: an existing file.

    Attributes:
        failure: the first error; None as long as there is none.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115 (held until close)
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all bytes; return their number, or 0 after an error."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError as error:
            self.failure = self.failure or error
            return 0
        return len(data)

    def read(self, n_bytes: int = -1) -> bytes:
        """Return the next bytes."""
        return self._file.read(n_bytes) or b""

    def readinto(self, buffer: bytearray) -> int:
        """Fill a buffer with the next bytes and return their number."""
        return self._file.readinto(buffer) or 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset and return it."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the current offset."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def check(self) -> None:
        """Raise the first error, if there is one.

        Raises:
            EncodingError: something could not be written.
        """
        if self.failure is not None:
            raise EncodingError(self.failure.strerror or str(self.failure)) from self.failure
