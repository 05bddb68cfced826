"""Containers of chunks: RIFF and RIFX, RF64 and BW64 (EBU 3306, ITU-R BS.2088), AIFF, IFF, Wave64, CAF, Sun AU.

The length in a header is compared with the file, because a size of 32 bits wraps at 4 GiB, and a recorder that was
killed leaves a size of 0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from my_submission.audio_io.decoding.file_facts import HEADER_SLACK_BYTES, DataSpan, FileFacts
from my_submission.audio_io.decoding.file_part import is_silent, size_of

_STREAMED_SIZES = {0x7FFFF000, 0x7FFFFFFF, 0x80000000, *range(0xFFFFFF00, 0x100000000)}
"""Sizes that FFmpeg, SoX, arecord and others write to a pipe, where the length is unknown."""

_MAX_CHUNKS = 1_000_000
"""Limit on chunks; a hostile file could contain one every eight bytes."""

_MAX_CHUNKS_FOR_LIBSNDFILE = 1_000
"""Chunks before the audio above which libsndfile is slow, because it searches all earlier chunks for each one."""

_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
"""Names of tags that programs append to any file."""

_METADATA = {b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"axml", b"_PMX", b"JUNK", b"junk", b"PAD ", b"FLLR", b"cue "}
"""Chunks that may follow the audio; cutting them loses no audio."""


@dataclass(frozen=True)
class _Layout:
    """Layout of a chunked container: chunk name, chunk size, content, padding."""

    first_chunk: int
    name_bytes: int
    size_format: str
    data_names: tuple[bytes, ...]
    size_counts_header: bool = False
    alignment: int = 1
    lead_bytes: int = 0
    """Bytes at the start of the data chunk before the audio."""

    @property
    def header_bytes(self) -> int:
        return self.name_bytes + struct.calcsize(self.size_format)


_RIFF = _Layout(12, 4, "<I", (b"data",), alignment=2)
_LAYOUTS = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"BW64": _RIFF,
    b"RIFX": _Layout(12, 4, ">I", (b"data",), alignment=2),
    b"FORM": _Layout(12, 4, ">I", (b"SSND", b"BODY"), alignment=2),
    b"caff": _Layout(8, 4, ">q", (b"data",), lead_bytes=4),
    b"riff": _Layout(40, 16, "<Q", (b"data",), size_counts_header=True, alignment=8),
}
_SIZES_IN_DS64 = {b"RF64", b"BW64"}


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    start: int
    size: int
    """Size as the file states it, without the header."""


def chunk_facts(file: BinaryIO) -> FileFacts:
    """Return facts of a file in one of these containers; no facts for any other file, or without audio."""
    file.seek(0)
    head = file.read(12)
    if head[:4] in {b".snd", b"dns."}:
        return _au_facts(file, head)
    layout = _LAYOUTS.get(head[:4])
    if layout is None:
        return FileFacts()
    if head[:4] == b"RIFF" and head[8:] == b"AVI ":
        return FileFacts(missing=_cut_avi(file, layout))
    return _facts(file, head, layout)


def _facts(file: BinaryIO, head: bytes, layout: _Layout) -> FileFacts:
    file_bytes, n_chunks, size_64 = size_of(file), 0, 0
    for chunk in _chunks(file, layout, layout.first_chunk, file_bytes):
        if chunk.name == b"ds64":
            file.seek(chunk.start)
            size_64 = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))[0]
        elif chunk.name[:4] in layout.data_names:
            size = size_64 if head[:4] in _SIZES_IN_DS64 and chunk.size == 0xFFFFFFFF else chunk.size
            return _data_facts(file, head, layout, _Chunk(chunk.name, chunk.start, size), n_chunks)
        n_chunks += 1
    return FileFacts(unusable=f"it has more than {_MAX_CHUNKS} chunks" if n_chunks == _MAX_CHUNKS else None)


def _data_facts(file: BinaryIO, head: bytes, layout: _Layout, data: _Chunk, n_chunks: int) -> FileFacts:
    lead = _lead_bytes(file, head, layout, data)
    file_bytes, start = size_of(file), data.start + lead
    available = max(0, file_bytes - start)
    if _is_open(file, head, data.size):
        span, next_at = DataSpan(start, None, available, n_chunks=n_chunks), None
    else:
        declared = max(0, data.size - lead)
        end = start + -(-declared // layout.alignment) * layout.alignment
        surplus, next_at = _behind(file, head, layout, end, file_bytes)
        if surplus:
            surplus += end - start - declared
        span = DataSpan(start, declared, available, surplus, n_chunks)
    missing = f"the header states {span.declared} bytes of audio and the file has {span.available}"
    is_long = n_chunks > _MAX_CHUNKS_FOR_LIBSNDFILE
    return FileFacts(
        missing=missing if span.missing else None,
        span=span,
        next_at=next_at,
        needs_ffmpeg=f"it has {n_chunks} chunks before its audio" if is_long else None,
    )


def _lead_bytes(file: BinaryIO, head: bytes, layout: _Layout, data: _Chunk) -> int:
    if head[:4] == b"FORM" and data.name == b"SSND":
        file.seek(data.start)
        (offset,) = struct.unpack(">I", file.read(4).ljust(4, b"\0"))
        return 8 + int(offset)
    return layout.lead_bytes


def _chunks(file: BinaryIO, layout: _Layout, position: int, file_bytes: int) -> Iterator[_Chunk]:
    """Yield the chunks from a position on, up to the first invalid header or size."""
    for _ in range(_MAX_CHUNKS):
        if position + layout.header_bytes > file_bytes:
            return
        file.seek(position)
        header = file.read(layout.header_bytes)
        (size,) = struct.unpack(layout.size_format, header[layout.name_bytes :])
        content = size - layout.header_bytes if layout.size_counts_header else size
        start = position + layout.header_bytes
        yield _Chunk(header[: layout.name_bytes], start, content)
        if content < 0:
            return
        position = start + -(-content // layout.alignment) * layout.alignment


def _behind(file: BinaryIO, head: bytes, layout: _Layout, end: int, file_bytes: int) -> tuple[int, int | None]:
    """Return the bytes of audio behind the length in the header, and the offset of a joined file."""
    if struct.calcsize(layout.size_format) == 4:
        for wraps in range((file_bytes - end) >> 32, 0, -1):  # a wrapped 32-bit size, with chunks behind
            is_all, next_at = _trailer(file, head, layout, end + (wraps << 32), file_bytes)
            if is_all:
                return wraps << 32, next_at
    is_all, next_at = _trailer(file, head, layout, end, file_bytes)
    return (0 if is_all else file_bytes - end), next_at


def _trailer(file: BinaryIO, head: bytes, layout: _Layout, start: int, file_bytes: int) -> tuple[bool, int | None]:
    """Return whether there is no audio from ``start`` on, and the offset of a joined file in it."""
    if _is_tag_or_rest(file, start, file_bytes) or is_silent(file, start):
        return True, None
    position = start
    for chunk in _chunks(file, layout, start, file_bytes):
        name, end = chunk.name[:4], chunk.start + -(-chunk.size // layout.alignment) * layout.alignment
        if name == head[:4]:
            return True, position
        is_chunk = all(32 <= byte < 127 for byte in name) and chunk.size >= 0
        if not is_chunk or (end > file_bytes + layout.alignment and name not in _METADATA):
            return False, None
        position = end
    return _is_tag_or_rest(file, position, file_bytes), None


def _is_tag_or_rest(file: BinaryIO, position: int, file_bytes: int) -> bool:
    file.seek(position)
    return file_bytes - position <= HEADER_SLACK_BYTES or file.read(16).startswith(_TAGS)


def _is_open(file: BinaryIO, head: bytes, size: int) -> bool:
    """Whether a data size is a placeholder; 0 is one only if the size of the whole file is one as well."""
    if head[:4] == b"caff":
        return size < 0
    if size:
        return head[:4] not in _SIZES_IN_DS64 and size in _STREAMED_SIZES
    return head[:4] in _SIZES_IN_DS64 or head[4:8] in {b"\0\0\0\0", b"\xff\xff\xff\xff"}


def _au_facts(file: BinaryIO, head: bytes) -> FileFacts:
    if len(head) < 12:
        return FileFacts()
    offset, size = struct.unpack(">II" if head[:4] == b".snd" else "<II", head[4:])
    file_bytes = size_of(file)
    available = max(0, file_bytes - offset)
    if size == 0xFFFFFFFF:
        return FileFacts(span=DataSpan(offset, None, available))
    rest = available - size
    surplus = rest if rest > HEADER_SLACK_BYTES and not is_silent(file, offset + size) else 0
    span = DataSpan(offset, size, available, surplus)
    missing = f"the header states {size} bytes of audio and the file has {available}"
    return FileFacts(missing=missing if span.missing else None, span=span)


def _cut_avi(file: BinaryIO, layout: _Layout) -> str | None:
    file_bytes = size_of(file)
    for chunk in _chunks(file, layout, layout.first_chunk, file_bytes):
        if chunk.size not in _STREAMED_SIZES and chunk.start + chunk.size > file_bytes:
            return "a chunk of the AVI container reaches beyond the end of the file"
    return None
