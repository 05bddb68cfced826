"""Vorbis comments, used in Ogg and FLAC files."""

from __future__ import annotations

import base64
import struct

from my_submission.audio_io.writing.tags.song_tags import SongTags

_NAMES = {
    "title": "TITLE",
    "artist": "ARTIST",
    "album": "ALBUM",
    "album_artist": "ALBUMARTIST",
    "date": "DATE",
    "genre": "GENRE",
    "comment": "COMMENT",
    "bpm": "BPM",
}
_COMMENTS, _PICTURE, _IS_LAST = 4, 6, 0x80
"""Block types of FLAC, and the flag of the last block (RFC 9639)."""


def vorbis_comments(tags: SongTags, *, has_picture: bool) -> bytes:
    """Return a list of comments: their number, then each with its length.

    Args:
        tags: the tags.
        has_picture: whether the cover is one of the comments, as in Ogg; FLAC has a block of its own for it.
    """
    comments = [f"{_NAMES[name]}={text}".encode() for name, text in tags.texts.items() if name in _NAMES]
    number, count = tags.track_and_count
    comments += [f"TRACKNUMBER={number}".encode()] if number else []
    comments += [f"TRACKTOTAL={count}".encode()] if count else []
    if has_picture and tags.cover is not None:
        comments.append(b"METADATA_BLOCK_PICTURE=" + base64.b64encode(tags.cover.flac_block))
    return struct.pack("<I", len(comments)) + b"".join(struct.pack("<I", len(one)) + one for one in comments)


def flac_blocks(tags: SongTags, vendor: bytes) -> bytes:
    """Return the blocks of FLAC with comments and cover; the last one is marked as the last of the file.

    Args:
        tags: the tags.
        vendor: name of the encoder, with its length in front.
    """
    blocks = [(_COMMENTS, vendor + vorbis_comments(tags, has_picture=False))]
    if tags.cover is not None:
        blocks.append((_PICTURE, tags.cover.flac_block))
    last = len(blocks) - 1
    return b"".join(
        bytes([kind | (_IS_LAST if number == last else 0)]) + len(content).to_bytes(3, "big") + content
        for number, (kind, content) in enumerate(blocks)
    )
