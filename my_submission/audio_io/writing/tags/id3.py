"""ID3v2.3 tags, used in MP3, WAV and AIFF files; more programs read this version than any later one."""

from __future__ import annotations

import struct

from my_submission.audio_io.writing.tags.song_tags import SongTags

_FRAMES = {
    "title": b"TIT2",
    "artist": b"TPE1",
    "album": b"TALB",
    "album_artist": b"TPE2",
    "genre": b"TCON",
    "track": b"TRCK",
    "bpm": b"TBPM",
}
_LATIN_1, _UTF_16 = b"\x00", b"\x01"
_BYTE_ORDER = b"\xff\xfe"
_FRONT_COVER = b"\x03"


def id3_tag(tags: SongTags) -> bytes:
    """Return an ID3v2.3 tag; no bytes if there are no tags."""
    texts = tags.texts
    frames = [_frame(name, _encoded(texts[key])) for key, name in _FRAMES.items() if key in texts]
    frames += _date_frames(texts.get("date", ""))
    if tags.comment is not None:
        description = _BYTE_ORDER + b"\0\0"  # none, in no language
        frames.append(_frame(b"COMM", _UTF_16 + b"XXX" + description + _encoded(tags.comment)[1:]))
    if tags.cover is not None:
        head = _LATIN_1 + tags.cover.mime.encode() + b"\0" + _FRONT_COVER + b"\0"  # no description
        frames.append(_frame(b"APIC", head + tags.cover.data))
    content = b"".join(frames)
    return b"ID3\x03\x00\x00" + _synchsafe(len(content)) + content if content else b""


def _frame(name: bytes, content: bytes) -> bytes:
    return name + struct.pack(">IH", len(content), 0) + content


def _encoded(text: str) -> bytes:
    """Return a string in UTF-16 with its byte order mark, after the byte that states this encoding."""
    return _UTF_16 + _BYTE_ORDER + text.encode("utf-16-le", "replace")


def _date_frames(date: str) -> list[bytes]:
    """Return frames of year and of day and month; a date that does not begin with a year has none."""
    year, _, rest = date.partition("-")
    if len(year) != 4 or not year.isdecimal():
        return []
    month, _, day = rest[:5].partition("-")
    frames = [_frame(b"TYER", _encoded(year))]
    if len(month) == len(day) == 2 and (month + day).isdecimal():
        frames.append(_frame(b"TDAT", _encoded(day + month)))
    return frames


def _synchsafe(number: int) -> bytes:
    """Return a number of 28 bits in four bytes of seven bits each."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
