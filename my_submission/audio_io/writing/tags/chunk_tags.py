"""Tags of WAV and AIFF files: chunks behind the audio."""

from __future__ import annotations

import struct
from typing import BinaryIO

from my_submission.audio_io.writing.tags.id3 import id3_tag
from my_submission.audio_io.writing.tags.song_tags import SongTags

_INFO = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "date": b"ICRD",
    "genre": b"IGNR",
    "track": b"ITRK",
    "comment": b"ICMT",
    "bpm": b"IBPM",
}
_UNKNOWN_SIZE = 0xFFFFFFFF
"""Size in the header of an RF64, whose ``ds64`` chunk has the real one."""


def add_chunk_tags(file: BinaryIO, tags: SongTags) -> None:
    """Add tags to a complete WAV, RF64 or AIFF: an ID3 chunk, and in WAV a LIST INFO chunk, which more programs read.

    Raises:
        ValueError: the file is none of these.
    """
    file.seek(0)
    kind, size = file.read(4), file.read(4)
    end = file.seek(0, 2)
    padding = bytes(end % 2)
    if kind in {b"RIFF", b"RF64"}:
        added = padding + _chunk(b"LIST", _info(tags), "<I") + _chunk(b"id3 ", id3_tag(tags), "<I")
    elif kind == b"FORM":
        added = padding + _chunk(b"ID3 ", id3_tag(tags), ">I")
    else:
        raise ValueError(f"no chunks can be added to a file that begins with {kind!r}")
    file.write(added)
    if kind == b"RF64" and size == struct.pack("<I", _UNKNOWN_SIZE):
        file.seek(20)  # after RIFF header, name and size of ds64
        file.write(struct.pack("<Q", end + len(added) - 8))
    else:
        file.seek(4)
        file.write(struct.pack(">I" if kind == b"FORM" else "<I", end + len(added) - 8))


def _info(tags: SongTags) -> bytes:
    texts = tags.texts
    items = [_chunk(name, texts[key].encode() + b"\0", "<I") for key, name in _INFO.items() if key in texts]
    return b"INFO" + b"".join(items)


def _chunk(name: bytes, content: bytes, size_format: str) -> bytes:
    return name + struct.pack(size_format, len(content)) + content + bytes(len(content) % 2)
