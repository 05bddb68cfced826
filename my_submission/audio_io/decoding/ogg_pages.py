"""The pages of an Ogg file (RFC 3533): the limits of its recordings, and damaged or missing pages.

Decoders silently skip damaged or cut pages, and libsndfile stops after the first recording of a chained file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from my_submission.audio_io.decoding.file_facts import FileFacts
from my_submission.audio_io.decoding.file_part import size_of

PAGE_HEADER = struct.Struct("<4sBBqIIIB")
"""Header of a page: "OggS", version, flags, granule position, serial number, page number, checksum, segments."""

CONTINUED, FIRST_PAGE, LAST_PAGE = 0x01, 0x02, 0x04
"""Flags of a page: it begins inside a packet, is the first one of its stream, or the last one."""

_SEARCH_BYTES = 1 << 16
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

_AUDIO = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex", b"fLaC", b"PCM     ")


@dataclass(frozen=True)
class _Page:
    position: int
    flags: int
    serial: int
    number: int
    content: bytes
    is_whole: bool
    """Whether its checksum is right."""

    @property
    def is_first(self) -> bool:
        return bool(self.flags & FIRST_PAGE)


@dataclass(frozen=True)
class _Gap:
    """Bytes that belong to no page; ``is_end`` if they are the start of a cut page."""

    position: int
    n_bytes: int
    is_end: bool = False


def ogg_facts(file: BinaryIO) -> FileFacts:
    """Return facts of the first recording in an Ogg file, up to the start of the next one."""
    file.seek(0)
    if file.read(4) != b"OggS":
        return FileFacts()
    streams: dict[int, bytes] = {}
    audio_numbers: dict[int, int] = {}
    ended: set[int] = set()
    is_in_data, n_damaged, n_lost, last, next_at = False, 0, 0, None, None
    for page in _pages(file):
        if isinstance(page, _Gap):
            if page.is_end:
                return FileFacts(missing=_cut_page(page))
            n_damaged += 1
            continue
        if page.is_first and is_in_data:
            next_at = page.position
            break
        if page.is_first:
            streams[page.serial] = page.content
        elif not is_in_data:
            is_in_data = True
        if not page.is_whole:
            n_damaged += 1
        if page.content or not page.flags & LAST_PAGE:
            n_lost += max(0, page.number - audio_numbers.get(page.serial, page.number - 1) - 1)
        audio_numbers[page.serial] = page.number
        if page.flags & LAST_PAGE:
            ended.add(page.serial)
        last = page
    return _facts(streams, ended, n_damaged, n_lost, last, next_at)


def _facts(
    streams: dict[int, bytes], ended: set[int], n_damaged: int, n_lost: int, last: _Page | None, next_at: int | None
) -> FileFacts:
    missing = damage = None
    if n_damaged or n_lost:
        damage = f"{n_damaged} pages of its Ogg stream are damaged and {n_lost} are missing"
    elif next_at is None and last is not None and not last.flags & LAST_PAGE:
        missing = "the page that ends an Ogg stream is missing"
    notes: tuple[str, ...] = ()
    if next_at is not None and not ended:
        notes = (f"the recording that ends at byte {next_at} has no last page: its end may be missing",)
    is_simple = len(streams) == 1 and next(iter(streams.values())).startswith(_AUDIO)
    needs_ffmpeg = None if is_simple else f"it contains {len(streams)} Ogg streams"
    return FileFacts(missing=missing, damage=damage, next_at=next_at, needs_ffmpeg=needs_ffmpeg, notes=notes)


def _cut_page(gap: _Gap) -> str:
    return f"the last page of an Ogg stream is cut after {gap.n_bytes} bytes"


def _pages(file: BinaryIO) -> Iterator[_Page | _Gap]:
    position, file_bytes = 0, size_of(file)
    while position < file_bytes:
        file.seek(position)
        header = file.read(PAGE_HEADER.size)
        if header[:4] != b"OggS":
            start, position = position, _next_page(file, position, file_bytes)
            if position < file_bytes:
                yield _Gap(start, position - start)
            continue  # other data after the last page are a tag or padding
        if len(header) < PAGE_HEADER.size:
            yield _Gap(position, file_bytes - position, is_end=True)
            return
        _, _, flags, _, serial, number, checksum, n_segments = PAGE_HEADER.unpack(header)
        table = file.read(n_segments)
        content = file.read(sum(table))
        n_bytes = len(header) + n_segments + sum(table)
        if position + n_bytes > file_bytes:
            following = _next_page(file, position + 4, file_bytes)
            if following == file_bytes:
                yield _Gap(position, file_bytes - position, is_end=True)
                return
            yield _Gap(position, following - position)
            position = following
            continue
        is_whole = page_checksum(header[:22] + b"\0\0\0\0" + header[26:] + table + content) == checksum
        yield _Page(position, flags, serial, number, content if flags & FIRST_PAGE else content[:1], is_whole)
        position += n_bytes


def _next_page(file: BinaryIO, position: int, file_bytes: int) -> int:
    """Return the offset of the next page from an offset on; the end of the file if there is none."""
    while position < file_bytes:
        file.seek(position)
        block = file.read(_SEARCH_BYTES)
        found = block.find(b"OggS")
        if found >= 0:
            return position + found
        position += max(1, len(block) - 3)
    return file_bytes


def page_checksum(page: bytes) -> int:
    """Return the checksum of a page: zlib's polynomial with reversed bits, initial and final value 0."""
    reflected = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)
