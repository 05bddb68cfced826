"""What a file's header promises, against what the file holds.

libsndfile and FFmpeg both shorten a WAV or AIFF file silently when its end is missing, and neither tells a cut Ogg
file from a whole one. The layouts are those of the published formats: RIFF/RF64 (EBU 3306), AIFF, Sony Wave64,
Core Audio Format, Sun AU, Ogg (RFC 3533), ISO base media (MP4), and the
Xing tag of MP3.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

_HEADER_SLACK_BYTES = 44
"""Some writers count the header as data; so few bytes are a third of a millisecond of CD audio."""

_STREAMED_SIZES = {0x7FFFF000, 0x7FFFFFFF, 0x80000000, *range(0xFFFFFF00, 0x100000000)}
"""Sizes that FFmpeg, SoX, arecord and others write into a pipe, where the length is not known beforehand."""

_MOST_CHUNKS = 100_000
"""A file of more chunks than this is not walked to its end: a hostile one could hold a chunk every eight bytes."""

_OGG_PAGE_BYTES = 65_307
_OGG_LAST_PAGE = 0x04


@dataclass(frozen=True)
class DataSpan:
    """The audio data of a file, in bytes.

    Attributes:
        declared: what the header promises; None when it leaves the length open, as pipes do.
        available: what lies between the start of the data and the end of the file.
    """

    declared: int | None
    available: int

    @property
    def missing(self) -> int:
        """Bytes promised and absent; 0 when all is there or nothing was promised."""
        missing = 0 if self.declared is None else self.declared - self.available
        return missing if missing > _HEADER_SLACK_BYTES else 0


@dataclass(frozen=True)
class _ChunkLayout:
    """How a chunked container is laid out: chunk name, chunk size, content, padding."""

    first_chunk: int
    name_bytes: int
    size_format: str
    data_name: bytes
    size_counts_header: bool = False
    alignment: int = 1

    @property
    def header_bytes(self) -> int:
        return self.name_bytes + struct.calcsize(self.size_format)


_RIFF = _ChunkLayout(12, 4, "<I", b"data", alignment=2)
_LAYOUTS = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"RIFX": _ChunkLayout(12, 4, ">I", b"data", alignment=2),
    b"FORM": _ChunkLayout(12, 4, ">I", b"SSND", alignment=2),
    b"caff": _ChunkLayout(8, 4, ">q", b"data"),
    b"riff": _ChunkLayout(40, 16, "<Q", b"data", size_counts_header=True, alignment=8),
}


def data_span(file: BinaryIO) -> DataSpan | None:
    """The audio data of an open file, or None where the container does not say or is not known here."""
    file.seek(0)
    magic = file.read(4)
    if magic == b".snd":
        return _au_span(file)
    layout = _LAYOUTS.get(magic)
    return None if layout is None else _chunked_span(file, magic, layout)


def missing_end(file: BinaryIO) -> str | None:
    """What tells that the end of an open file is missing, as a clause; None where nothing does."""
    span = data_span(file)
    if span is not None and span.missing:
        return f"the header promises {span.declared} bytes of audio and {span.available} are there"
    if is_ogg_cut(file):
        return "the page that ends an Ogg stream is missing"
    if is_mp4_cut(file):
        return "a box of the MP4 container reaches beyond the end of the file"
    return None


def is_ogg_cut(file: BinaryIO) -> bool:
    """Whether an Ogg file lacks the page that ends its stream; False for anything else."""
    file.seek(0)
    if file.read(4) != b"OggS":
        return False
    file.seek(max(0, _file_bytes(file) - _OGG_PAGE_BYTES - 4096))
    tail = file.read()
    last = tail.rfind(b"OggS")
    return last < 0 or len(tail) <= last + 5 or not tail[last + 5] & _OGG_LAST_PAGE


def is_mp4_cut(file: BinaryIO) -> bool:
    """Whether a top-level box of an MP4 or M4A file ends beyond the file; False for anything else."""
    file_bytes = _file_bytes(file)
    file.seek(0)
    if file.read(8)[4:] != b"ftyp":
        return False
    position = 0
    for _ in range(_MOST_CHUNKS):
        if position + 8 > file_bytes:
            break
        file.seek(position)
        (size,) = struct.unpack(">I", file.read(4))
        if size == 1:
            size = struct.unpack(">4xQ", file.read(12).ljust(12, b"\0"))[0]
        if size == 0:  # the last box, as long as the file
            return False
        if size < 8:
            return True
        position += size
    return position > file_bytes


def has_mp3_length(file: BinaryIO) -> bool:
    """Whether an MP3 file counts its frames (Xing or Info tag), so that its length is known and not guessed."""
    file.seek(0)
    head = file.read(10)
    if head[:3] == b"ID3":
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        file.seek(10 + size)
    else:
        file.seek(0)
    frame = file.read(4096)
    return b"Xing" in frame or b"Info" in frame


def _chunked_span(file: BinaryIO, magic: bytes, layout: _ChunkLayout) -> DataSpan | None:
    file_bytes = _file_bytes(file)
    position, size_64 = layout.first_chunk, None
    for _ in range(_MOST_CHUNKS):
        if position + layout.header_bytes > file_bytes:
            break
        file.seek(position)
        name = file.read(layout.name_bytes)
        (size,) = struct.unpack(layout.size_format, file.read(layout.header_bytes - layout.name_bytes))
        start = position + layout.header_bytes
        if name == b"ds64":
            size_64 = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))[0]
        if name[:4] == layout.data_name:
            if magic == b"RF64" and size == 0xFFFFFFFF:
                size = size_64 or 0
            content = size - layout.header_bytes if layout.size_counts_header else size
            return DataSpan(None if _is_open(file, magic, size) else max(0, content), max(0, file_bytes - start))
        step = size - layout.header_bytes if layout.size_counts_header else size
        if step < 0:
            return None
        position = start + -(-step // layout.alignment) * layout.alignment
    return None


def _is_open(file: BinaryIO, magic: bytes, size: int) -> bool:
    """Whether a data size is a placeholder. A size of 0 is one only where the whole file's size is one too."""
    if magic == b"caff":
        return size < 0
    if size:
        return magic != b"RF64" and size in _STREAMED_SIZES
    file.seek(4)
    whole = file.read(4)
    return magic == b"RF64" or whole in {b"\0\0\0\0", b"\xff\xff\xff\xff"}


def _au_span(file: BinaryIO) -> DataSpan | None:
    header = file.read(8)
    if len(header) < 8:
        return None
    offset, size = struct.unpack(">II", header)
    return DataSpan(None if size == 0xFFFFFFFF else size, max(0, _file_bytes(file) - offset))


def _file_bytes(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
