"""Whether the parts of an MP4, Matroska, WebM or ASF (WMA) file reach beyond its end."""

from __future__ import annotations

import struct
from typing import BinaryIO

from my_submission.audio_io.decoding.file_part import size_of

_MAX_PARTS = 1_000_000

_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"pnot"}
"""QuickTime files are older than the first of them."""

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


def cut_container(file: BinaryIO) -> str | None:
    """Return evidence that the end of such a file is missing, as a clause; None if there is none."""
    file.seek(0)
    head = file.read(16)
    if is_mp4_cut(file):
        return "a box of the MP4 container reaches beyond the end of the file"
    if head[:4] == b"\x1a\x45\xdf\xa3" and (n_bytes := _matroska_missing(file)):
        return f"{n_bytes} bytes of the Matroska or WebM container are missing at the end of the file"
    if head == _ASF_HEADER and (n_bytes := _asf_missing(file)):
        return f"{n_bytes} bytes of the ASF (WMA) container are missing at the end of the file"
    return None


def is_mp4_cut(file: BinaryIO) -> bool:
    """Whether a top-level box of an MP4 or M4A file ends beyond the file; False for anything else."""
    file_bytes = size_of(file)
    file.seek(0)
    if file.read(8)[4:] not in _FIRST_BOXES:
        return False
    position = 0
    for _ in range(_MAX_PARTS):
        if position + 8 > file_bytes:
            break
        file.seek(position)
        (size,) = struct.unpack(">I", file.read(4))
        if size == 1:
            size = struct.unpack(">4xQ", file.read(12).ljust(12, b"\0"))[0]
        if size == 0:  # the last box, which extends to the end of the file
            return False
        if size < 8:
            return True
        position += size
    return position > file_bytes


def _matroska_missing(file: BinaryIO) -> int:
    """Return how many bytes the elements of a Matroska or WebM file reach beyond its end."""
    file_bytes, position = size_of(file), 0
    for _ in range(_MAX_PARTS):
        if position >= file_bytes:
            break
        file.seek(position)
        head = file.read(12)
        name, n_name = _variable_number(head, keeps_marker=True)
        size, n_size = _variable_number(head[n_name:], keeps_marker=False)
        if name is None or size is None:
            break
        position += n_name + n_size
        is_open = size == (1 << 7 * n_size) - 1
        if is_open and name not in {_SEGMENT, _CLUSTER}:
            break
        if not is_open:
            position += size
    return max(0, position - file_bytes)


def _variable_number(data: bytes, *, keeps_marker: bool) -> tuple[int | None, int]:
    """Return a number of EBML and its size in bytes."""
    if not data or not data[0]:
        return None, 0
    n_bytes = 9 - data[0].bit_length()
    if len(data) < n_bytes:
        return None, 0
    number = int.from_bytes(data[:n_bytes], "big")
    return number if keeps_marker else number & ((1 << 7 * n_bytes) - 1), n_bytes


def _asf_missing(file: BinaryIO) -> int:
    """Return how many bytes the data of an ASF file reach beyond its end."""
    file_bytes, position = size_of(file), 0
    for _ in range(_MAX_PARTS):
        file.seek(position)
        head = file.read(24)
        if len(head) < 24:
            break
        (size,) = struct.unpack("<Q", head[16:])
        if size < 24:  # a stream that was not closed states no length
            break
        if head[:16] == _ASF_DATA:
            return max(0, position + int(size) - file_bytes)
        position += size
    return 0
