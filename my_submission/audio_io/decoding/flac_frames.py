"""Comparison of the last frame of a FLAC file (RFC 9639) with the number of samples in its header."""

from __future__ import annotations

from typing import BinaryIO

from my_submission.audio_io.decoding.file_facts import FileFacts
from my_submission.audio_io.decoding.file_part import size_of
from my_submission.audio_io.decoding.mpeg_frames import tag_bytes

_STREAM_INFO = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
_BLOCK_BYTES = 1 << 20
_TAIL_BYTES = 1 << 20
"""Search range for a frame; only frames of eight channels of 65 535 samples are longer, which no encoder writes."""

_BLOCK_SAMPLES = {
    1: 192,
    **{code: 576 << (code - 2) for code in range(2, 6)},
    **{c: 256 << (c - 8) for c in range(8, 16)},
}


def flac_facts(file: BinaryIO) -> FileFacts:
    """Return facts of a FLAC file, up to the start of a joined one."""
    start = tag_bytes(file)
    file.seek(start)
    head = file.read(42)
    if head[:8] not in _STREAM_INFO or len(head) < 42:
        return FileFacts()
    n_declared = (head[21] & 15) << 32 | int.from_bytes(head[22:26], "big")
    next_at = _joined_at(file, start + 42)
    n_samples = _end_sample(file, size_of(file) if next_at is None else next_at, int.from_bytes(head[8:10], "big"))
    if not n_declared or n_samples is None or n_samples <= n_declared:
        return FileFacts(next_at=next_at)
    mismatch = f"its header counts {n_declared} samples and its last frame ends at sample {n_samples}"
    return FileFacts(next_at=next_at, needs_ffmpeg=mismatch, notes=(f"{mismatch}; all of them were read",))


def _joined_at(file: BinaryIO, position: int) -> int | None:
    """Return the offset of a joined FLAC file."""
    file.seek(position)
    kept = b""
    while block := file.read(_BLOCK_BYTES):
        for data, at in ((kept + block[:7], position - len(kept)), (block, position)):
            found = data.find(b"fLaC")
            while found >= 0:
                if data[found : found + 8] in _STREAM_INFO:
                    return at + found
                found = data.find(b"fLaC", found + 1)
        position += len(block)
        kept = block[-7:]
    return None


def _end_sample(file: BinaryIO, stop: int, block_samples: int) -> int | None:
    """Return the sample number after the last frame before ``stop``; None if no complete frame ends there."""
    start = max(0, stop - _TAIL_BYTES)
    file.seek(start)
    tail = file.read(stop - start)
    if tail[-128:-125] == b"TAG":
        tail = tail[:-128]
    at = len(tail)
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        if tail[at + 1 : at + 2] not in {b"\xf8", b"\xf9"}:
            continue
        end = _frame_end(tail[at : at + 16], block_samples)
        if end is not None and _crc(tail[at:], _CRC_16) == 0:
            return end
    return None


def _frame_end(header: bytes, block_samples: int) -> int | None:
    """Return the sample number after a frame, by its header; None if the header's checksum is wrong."""
    if len(header) < 6:
        return None
    number, n_bytes = _coded_number(header[4:11])
    code, rate_code, position = header[2] >> 4, header[2] & 15, 4 + n_bytes
    n_samples = _BLOCK_SAMPLES.get(code, 0)
    if code in {6, 7}:
        n_samples = int.from_bytes(header[position : position + code - 5], "big") + 1
        position += code - 5
    position += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if number is None or not n_samples or len(header) <= position or _crc(header[: position + 1], _CRC_8):
        return None
    first = number if header[1] & 1 else number * block_samples
    return first + n_samples


def _coded_number(data: bytes) -> tuple[int | None, int]:
    """Return a number that is coded like a character in UTF-8, and its size in bytes."""
    lead = data[0]
    if lead < 0x80:
        return lead, 1
    n_bytes = 8 - (lead ^ 0xFF).bit_length()
    if n_bytes < 2 or n_bytes > 7 or len(data) < n_bytes or any(byte >> 6 != 2 for byte in data[1:n_bytes]):
        return None, 1
    number = lead & (0x7F >> n_bytes)
    for byte in data[1:n_bytes]:
        number = number << 6 | byte & 0x3F
    return number, n_bytes


def _crc_table(polynomial: int, bits: int) -> tuple[int, tuple[int, ...]]:
    top, mask, table = 1 << (bits - 1), (1 << bits) - 1, []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return bits, tuple(table)


_CRC_8, _CRC_16 = _crc_table(0x07, 8), _crc_table(0x8005, 16)


def _crc(data: bytes, table: tuple[int, tuple[int, ...]]) -> int:
    """Return a checksum that starts at 0; it is 0 for data that end in their own checksum."""
    bits, entries = table
    value, mask = 0, (1 << bits) - 1
    for byte in data:
        value = (value << 8 & mask) ^ entries[value >> (bits - 8) ^ byte]
    return value
