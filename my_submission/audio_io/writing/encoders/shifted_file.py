"""A file that begins with given bytes, such as tags, followed by those of an encoder."""

from __future__ import annotations

import os

from my_submission.audio_io.writing.encoders.encoder import OutputFile


class ShiftedFile:
    """A file object for libsndfile whose offset 0 lies behind our bytes.

    Args:
        output: the file.
        head: our bytes.

    Attributes:
        output: the file.
    """

    def __init__(self, output: OutputFile, head: bytes = b"") -> None:
        self.output = output
        self._shift = len(head)
        output.write(head)

    def write(self, data: bytes) -> int:
        """Write bytes; return their number, or 0 after an error."""
        return self.output.write(data)

    def read(self, n_bytes: int = -1) -> bytes:
        """Return the next bytes."""
        return self.output.read(n_bytes)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset behind our bytes, and return it."""
        return self.output.seek(offset + (self._shift if whence == os.SEEK_SET else 0), whence) - self._shift

    def tell(self) -> int:
        """Return the offset behind our bytes."""
        return self.output.tell() - self._shift

    def finish(self) -> None:
        """Do nothing: every byte is in the file already."""
