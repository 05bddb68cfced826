"""Tags of a song as one value."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields, replace

MAX_TEXT_CHARACTERS = 2_000
"""Longer texts are cut, because every stem gets a copy."""

MAX_COVER_BYTES = 8 << 20
"""Larger covers are left out, because every stem gets a copy."""

MAX_TAG_BYTES = MAX_COVER_BYTES + (1 << 20)
"""More than a cover and all texts take in any format but Ogg, whose covers are in base64."""

_MIME_BY_START = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


@dataclass(frozen=True)
class Cover:
    """The front cover.

    Attributes:
        data: a JPEG or PNG file.
        mime: "image/jpeg" or "image/png".
    """

    data: bytes
    mime: str

    @classmethod
    def of(cls, data: bytes) -> Cover | None:
        """Return the cover with this content; None if it is neither JPEG nor PNG."""
        mime = next((mime for start, mime in _MIME_BY_START.items() if data.startswith(start)), None)
        return None if mime is None else cls(data, mime)

    @property
    def flac_block(self) -> bytes:
        """Content of a PICTURE block of FLAC (RFC 9639), which Ogg files hold in base64."""
        mime = self.mime.encode()
        head = struct.pack(">II", 3, len(mime)) + mime  # 3: front cover
        return head + struct.pack(">IIIIII", 0, 0, 0, 0, 0, len(self.data)) + self.data


@dataclass(frozen=True, kw_only=True)
class SongTags:
    """Tags that are carried over from a song to its stems; None if there is none.

    Attributes:
        title: title of the song.
        artist: artist of the song.
        album: title of the album.
        album_artist: artist of the album.
        date: year, or year-month-day.
        genre: genre of the song.
        track: number on the album, or number/count.
        comment: free text.
        bpm: tempo in beats per minute, as written.
        cover: the front cover.
    """

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    album_artist: str | None = None
    date: str | None = None
    genre: str | None = None
    track: str | None = None
    comment: str | None = None
    bpm: str | None = None
    cover: Cover | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) is not None for one in fields(self))

    @property
    def texts(self) -> dict[str, str]:
        """All texts that are there, by the names of the attributes."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "cover"}
        return {name: text for name, text in found.items() if text is not None}

    @property
    def track_and_count(self) -> tuple[int, int]:
        """Number on the album and number of tracks; 0 where unknown or not a number."""
        number, _, count = (self.track or "").partition("/")
        return _small_number(number), _small_number(count)

    def for_stem(self, stem: str) -> SongTags:
        """Return the tags of a stem: its name is part of the title."""
        return self if self.title is None else replace(self, title=f"{self.title} ({stem})")


def _small_number(text: str) -> int:
    """Return a number of up to four digits; 0 for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
