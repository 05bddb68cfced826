"""FLAC files (RFC 9639) with this program's comments and cover."""

from __future__ import annotations

import os

from my_submission.audio_io.writing.encoders.encoder import EncodingError, OutputFile
from my_submission.audio_io.writing.tags.song_tags import SongTags
from my_submission.audio_io.writing.tags.vorbis_comments import flac_blocks

_BLOCK_HEADER, _IS_LAST, _TYPE = 4, 0x80, 0x7F
_COMMENTS = 4
_STREAM_INFO_END = 4 + _BLOCK_HEADER + 34
"""End of the file's marker and of the block that the encoder completes at the end; nothing before it moves."""


class FlacStream:
    """A file object for libsndfile that replaces its comment block by ours.

    Args:
        output: the file.
        tags: the tags.

    Attributes:
        output: the file.
    """

    def __init__(self, output: OutputFile, tags: SongTags) -> None:
        self.output = output
        self._tags = tags
        self._head = bytearray()
        self._shift: int | None = None

    def write(self, data: bytes) -> int:
        """Take bytes; return their number, or 0 after an error."""
        if self._shift is not None:
            return self.output.write(data)
        self._head += data
        end = self._metadata_end()
        if end is not None:
            ours = self._new_head(end)
            self._shift = len(ours) - end
            self.output.write(ours + bytes(self._head[end:]))
        return 0 if self.output.failure is not None else len(data)

    def read(self, n_bytes: int = -1) -> bytes:
        """Return the next bytes."""
        return self.output.read(n_bytes)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset of the file as libsndfile knows it, and return it."""
        if self._shift is None:
            return len(self._head)  # the encoder only asks for the length of the file
        if whence == os.SEEK_SET:
            self.output.seek(offset if offset < _STREAM_INFO_END else offset + self._shift)
        else:
            self.output.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        """Return the offset in the file as libsndfile knows it."""
        if self._shift is None:
            return len(self._head)
        position = self.output.tell()
        return position if position < _STREAM_INFO_END else position - self._shift

    def finish(self) -> None:
        """Check that the metadata arrived.

        Raises:
            EncodingError: they did not.
        """
        if self._shift is None:
            raise EncodingError("the encoder wrote no FLAC header")

    def _metadata_end(self) -> int | None:
        """Return the end of the metadata; None as long as they are incomplete."""
        position = 4
        while len(self._head) >= position + _BLOCK_HEADER:
            is_last = self._head[position] & _IS_LAST
            position += _BLOCK_HEADER + int.from_bytes(self._head[position + 1 : position + 4], "big")
            if is_last:
                return position if len(self._head) >= position else None
        return None

    def _new_head(self, end: int) -> bytes:
        """Return the metadata with our comments: mark and stream information first, other blocks kept."""
        kept, vendor, position = bytearray(self._head[:4]), bytes(4), 4
        while position < end:
            kind = self._head[position] & _TYPE
            stop = position + _BLOCK_HEADER + int.from_bytes(self._head[position + 1 : position + 4], "big")
            content = bytes(self._head[position + _BLOCK_HEADER : stop])
            if kind == _COMMENTS:
                vendor = content[: 4 + int.from_bytes(content[:4], "little")]
            else:
                kept += bytes([kind]) + self._head[position + 1 : stop]
            position = stop
        return bytes(kept) + flac_blocks(self._tags, vendor)
