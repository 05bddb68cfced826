"""Tags of MP4 files, in the form of iTunes: moov / udta / meta / ilst."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from my_submission.audio_io.writing.tags.song_tags import SongTags

_TEXTS = {
    "title": b"\xa9nam",
    "artist": b"\xa9ART",
    "album": b"\xa9alb",
    "album_artist": b"aART",
    "date": b"\xa9day",
    "genre": b"\xa9gen",
    "comment": b"\xa9cmt",
}
_UTF_8, _INTEGER, _IMPLICIT = 1, 21, 0
_PICTURES = {"image/jpeg": 13, "image/png": 14}
_HEAD_BYTES = 8
"""Size and name of an atom, of 32 bits each."""

_MAX_ATOMS = 1_000
"""Limit on the atoms side by side; a hostile file could contain one every eight bytes."""

_MAX_BPM = 2**15 - 1


def add_mp4_tags(file: BinaryIO, tags: SongTags) -> None:
    """Add tags to an MP4 whose last atom is ``moov``, as FFmpeg writes it: no offset into the audio changes.

    Raises:
        ValueError: it has another layout.
    """
    start, end = _last_atom(file, 0, b"moov")
    try:
        stop = _last_atom(file, start, b"udta")[0] - _HEAD_BYTES  # FFmpeg's list of tags, which has none
    except ValueError:
        stop = end
    user_data = _atom(b"udta", _atom(b"meta", bytes(4) + _handler() + _atom(b"ilst", _items(tags))))
    file.seek(start - _HEAD_BYTES)
    file.write(struct.pack(">I", _HEAD_BYTES + stop - start + len(user_data)))
    file.seek(stop)
    file.write(user_data)
    file.truncate()


def mp4_tempo(file: BinaryIO) -> int | None:
    """Return the tempo of an MP4 in beats per minute, which FFmpeg does not read; None if there is none."""
    start, stop = 0, file.seek(0, 2)
    for name, n_skipped in ((b"moov", 0), (b"udta", 0), (b"meta", 4), (b"ilst", 0), (b"tmpo", 0), (b"data", 8)):
        found = next(((begin, end) for kind, begin, end in _atoms(file, start, stop) if kind == name), None)
        if found is None:
            return None
        start, stop = found[0] + n_skipped, found[1]
    file.seek(start)
    return int.from_bytes(file.read(min(4, stop - start)), "big") or None


def _atoms(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of up to 1000 atoms."""
    for _ in range(_MAX_ATOMS):
        if start + 8 > stop:
            return
        file.seek(start)
        n_bytes, name = struct.unpack(">I4s", file.read(8).ljust(8, b"\0"))
        n_head = 8
        if n_bytes == 1:
            n_head, n_bytes = 16, int.from_bytes(file.read(8), "big")
        end = stop if n_bytes == 0 else start + n_bytes
        if n_bytes and n_bytes < n_head:
            return
        yield name, start + n_head, min(end, stop)
        start = end


def _last_atom(file: BinaryIO, start: int, name: bytes) -> tuple[int, int]:
    """Return start and end of the content of the last atom of a file, which must have this name.

    Args:
        file: the file.
        start: where to begin: 0, or the start of the content of its last atom.
        name: name of the atom.
    """
    end = file.seek(0, 2)
    for found, begin, stop in _atoms(file, start, end):
        if found == name and stop == end:
            return begin, stop
    raise ValueError(f"the last atom is not {name.decode()}")


def _items(tags: SongTags) -> bytes:
    items = [_item(_TEXTS[name], _UTF_8, text.encode()) for name, text in tags.texts.items() if name in _TEXTS]
    number, count = tags.track_and_count
    if number:
        items.append(_item(b"trkn", _IMPLICIT, struct.pack(">HHHH", 0, number, count, 0)))
    if (bpm := _whole_bpm(tags.bpm)) is not None:
        items.append(_item(b"tmpo", _INTEGER, struct.pack(">H", bpm)))
    if tags.cover is not None:
        items.append(_item(b"covr", _PICTURES[tags.cover.mime], tags.cover.data))
    return b"".join(items)


def _whole_bpm(bpm: str | None) -> int | None:
    """Return a tempo as a whole number, which is all that these tags can store; None if there is none."""
    try:
        found = round(float((bpm or "").replace(",", ".")))
    except (ValueError, OverflowError):
        return None
    return found if 0 < found <= _MAX_BPM else None


def _item(name: bytes, kind: int, content: bytes) -> bytes:
    return _atom(name, _atom(b"data", struct.pack(">II", kind, 0) + content))


def _handler() -> bytes:
    return _atom(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))


def _atom(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content
