"""Number of frames of an MP3 (ISO 11172-3, 13818-3), compared with its Xing or Info tag.

libsndfile needs the count of such a tag; without it, it estimates the length by the first frames and stops there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from my_submission.audio_io.decoding.file_facts import FileFacts
from my_submission.audio_io.decoding.file_part import is_silent, size_of

_KBITS = {  # of a frame, by version (1, or 2 and 2.5) and layer
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)
_RATE_DIVISOR = {3: 1, 2: 2, 0: 4}
"""MPEG versions by the two bits of the header; 1 is reserved."""

_SAME_STREAM = 0xFFFE0C00
"""Bits of a header that stay the same in a stream: synchronisation, version, layer, sample rate."""

_MAX_MISSING_FRAMES = 2
"""Tolerance in frames: a cut last frame also loses the one before, which stores some of its bits in it."""


_BYTES_OFF = 0.01
"""Limit beyond which libmpg123 prints a warning."""


@dataclass(frozen=True)
class _Header:
    n_bytes: int
    n_samples: int
    sample_rate: int


def mpeg_facts(file: BinaryIO) -> FileFacts:
    """Return facts of an MP3; no facts for any other file, or where other data precede the first frame."""
    file_bytes, start = size_of(file), tag_bytes(file)
    found = _first_frame(file, start)
    if found is None:
        return FileFacts()
    first, declared = found
    after_tag = start if declared is None else start + first.n_bytes
    if declared is None or declared[0] is None:
        return FileFacts(needs_ffmpeg="it has no count of its frames")
    n_frames, is_unbroken = _count(file, after_tag, file_bytes)
    n_declared, n_missing = declared[0], declared[0] - n_frames
    n_bytes, n_declared_bytes = file_bytes - start, declared[1] or 0
    has_all_bytes = 0 < n_declared_bytes <= n_bytes
    seconds = first.n_samples / first.sample_rate
    mismatch = f"its Xing tag counts {n_declared} frames ({n_declared * seconds:.3f} s)"
    if not is_unbroken:
        return FileFacts(declared_seconds=n_declared * seconds, needs_ffmpeg="it contains more than frames and tags")
    if n_missing == 0 or (n_missing == 1 and has_all_bytes):  # some encoders count the frame of the tag
        is_near = not n_declared_bytes or abs(n_bytes - n_declared_bytes) < _BYTES_OFF * n_declared_bytes
        return FileFacts(has_exact_length=is_near, needs_ffmpeg=None if is_near else f"{mismatch}, but other bytes")
    there = f"{n_frames} ({n_frames * seconds:.3f} s) are there"
    if n_missing > _MAX_MISSING_FRAMES and not has_all_bytes:
        return FileFacts(missing=f"{mismatch} and {there}")
    return FileFacts(needs_ffmpeg=mismatch, notes=(f"{mismatch}, {there}; all of them were read",))


def has_frame_count(file: BinaryIO) -> bool:
    """Return whether the first frame of an MP3 is a Xing or Info tag that counts the frames."""
    found = _first_frame(file, tag_bytes(file))
    return found is not None and found[1] is not None and found[1][0] is not None


def _first_frame(file: BinaryIO, start: int) -> tuple[_Header, tuple[int | None, int | None] | None] | None:
    """Return the first frame's header and what its tag declares; None if no two frames begin at ``start``."""
    file.seek(start)
    head = file.read(4096)
    first = _header(head[:4])
    if first is None or _header(head[first.n_bytes : first.n_bytes + 4]) is None:
        return None
    return first, _declared(head[: first.n_bytes])


def tag_bytes(file: BinaryIO, start: int = 0) -> int:
    """Return the size in bytes of the ID3v2 tags from ``start`` on."""
    position = start
    while True:
        file.seek(position)
        head = file.read(10)
        if head[:3] != b"ID3" or len(head) < 10 or max(head[6:10]) > 0x7F:
            return position - start
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte
        position += 10 + size + (10 if head[5] & 0x10 else 0)


def _header(data: bytes) -> _Header | None:
    """Parse the four bytes of a frame header; None if they are none, or state no frame length."""
    if len(data) < 4:
        return None
    (word,) = struct.unpack(">I", data)
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    bit_rate, rate, padding = word >> 12 & 15, word >> 10 & 3, word >> 9 & 1
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or bit_rate in {0, 15} or rate == 3:
        return None
    sample_rate = _RATES[rate] // _RATE_DIVISOR[version]
    bits = 1000 * _KBITS[1 if version == 3 else 2, layer][bit_rate - 1]
    if layer == 1:
        return _Header((12 * bits // sample_rate + padding) * 4, 384, sample_rate)
    n_samples = 576 if layer == 3 and version != 3 else 1152
    return _Header(n_samples // 8 * bits // sample_rate + padding, n_samples, sample_rate)


def _declared(frame: bytes) -> tuple[int | None, int | None] | None:
    """Return frames and bytes by the Xing or Info tag in a first frame; None if there is no such tag."""
    is_first_version, is_mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    position = 4 + ((17 if is_mono else 32) if is_first_version else (9 if is_mono else 17))
    if frame[position : position + 4] not in {b"Xing", b"Info"}:
        return None
    flags, *counts = struct.unpack(">III", frame[position + 4 : position + 16].ljust(12, b"\0"))
    n_frames = counts.pop(0) if flags & 1 else None
    return n_frames, (counts.pop(0) if flags & 2 else None)


def _count(file: BinaryIO, position: int, file_bytes: int) -> tuple[int, bool]:
    """Return the number of complete consecutive frames from an offset on, and whether only tags follow."""
    n_frames, kept = 0, None
    while position + 4 <= file_bytes:
        file.seek(position)
        data = file.read(4)
        header = _header(data)
        (word,) = struct.unpack(">I", data)
        kept = word & _SAME_STREAM if kept is None else kept
        if header is None or word & _SAME_STREAM != kept:
            n_other = _other_bytes(file, position)
            if not n_other:
                return n_frames, False
            position += n_other
            continue
        if position + header.n_bytes > file_bytes:
            break
        n_frames += 1
        position += header.n_bytes
    return n_frames, True


def _other_bytes(file: BinaryIO, position: int) -> int:
    """Return the size of a tag, or of zeros up to the end of the file; 0 if there is neither."""
    file.seek(position)
    head = file.read(32)
    if head[:3] == b"TAG":
        return 128
    if head[:3] == b"ID3":
        return tag_bytes(file, position)
    if head[:8] == b"APETAGEX" and len(head) == 32:
        size, flags = struct.unpack("<12xI4xI8x", head)
        return int(size) + (32 if flags >> 29 & 1 else 0)
    if head[:11] == b"LYRICSBEGIN" or is_silent(file, position):
        return max(1, size_of(file) - position)
    return 0
