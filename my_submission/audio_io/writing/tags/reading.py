"""Reading tags of an untrusted file. Broken tags never stop a separation."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from my_submission.audio_io.decoding.media_containers import import_av, open_container
from my_submission.audio_io.writing.tags.mp4_atoms import mp4_tempo
from my_submission.audio_io.writing.tags.song_tags import MAX_COVER_BYTES, MAX_TEXT_CHARACTERS, Cover, SongTags
from my_submission.errors import InputError

_KEYS = {
    "title": "title",
    "artist": "artist",
    "album": "album",
    "album_artist": "album_artist",
    "albumartist": "album_artist",
    "album artist": "album_artist",
    "date": "date",
    "year": "date",
    "genre": "genre",
    "track": "track",
    "tracknumber": "track",
    "comment": "comment",
    "description": "comment",
    "bpm": "bpm",
    "tbpm": "bpm",
    "tmpo": "bpm",
    "tempo": "bpm",
    "ibpm": "bpm",
}
"""FFmpeg's and other programs' keys, in lower case, to attributes of the tags; the first one found counts."""

_TRACK_COUNTS = ("tracktotal", "totaltracks")
"""Keys of the number of tracks, which Vorbis comments have apart from the number of the track."""

_MAX_PICTURE_PACKETS = 100
"""A cover is among the first packets of its stream."""


def read_tags(path: str | PathLike[str]) -> tuple[SongTags, tuple[str, ...]]:
    """Return the tags of a file, and notes on tags that could not be read, one clause each."""
    file = Path(path)
    try:
        av = import_av(file)
        errors = (av.FFmpegError, OSError, ValueError, OverflowError, NotImplementedError, MemoryError, LookupError)
    except InputError:
        return SongTags(), ("its tags were not read, because PyAV is not installed",)
    try:
        with file.open("rb") as opened, open_container(av, opened) as container:
            tags = _texts(container)
            cover, notes = _cover(container)
            if "mp4" in container.format.name and "bpm" not in tags and (tempo := mp4_tempo(opened)):
                tags["bpm"] = str(tempo)
    except errors as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return SongTags(), (f"its tags could not be read ({reason}), so the stems have none",)
    return SongTags(**tags, cover=cover), notes


def _texts(container: Any) -> dict[str, str]:
    """Return the texts of a container and of its first audio stream, which has those of Ogg files."""
    found: dict[str, str] = {}
    streams = container.streams.audio[:1]
    for metadata in (container.metadata, *(stream.metadata for stream in streams)):
        lowered = {str(key).lower(): str(value) for key, value in metadata.items()}
        for key, name in _KEYS.items():
            text = _cleaned(lowered.get(key, ""))
            if text and name not in found:
                found[name] = text
        count = next((_cleaned(lowered[key]) for key in _TRACK_COUNTS if key in lowered), "")
        if count and "/" not in found.get("track", "/"):
            found["track"] += f"/{count}"
    return found


def _cleaned(text: str) -> str:
    """Return a text without control characters, cut to a sensible length."""
    printable = "".join(character for character in text if character.isprintable() or character == "\n")
    return printable.strip()[:MAX_TEXT_CHARACTERS]


def _cover(container: Any) -> tuple[Cover | None, tuple[str, ...]]:
    for stream in container.streams.video:
        if not _is_picture(stream):
            continue
        for number, packet in enumerate(container.demux(stream)):
            if packet.size > MAX_COVER_BYTES:
                size = f"{packet.size / 2**20:.0f} MiB"
                return None, (f"its cover of {size} is larger than {MAX_COVER_BYTES >> 20} MiB and is left out",)
            if packet.size:
                cover = Cover.of(bytes(packet))
                return cover, () if cover else ("its cover is neither JPEG nor PNG and is left out",)
            if number > _MAX_PICTURE_PACKETS:
                break
    return None, ()


def _is_picture(stream: Any) -> bool:
    """Whether a video stream is a cover, which FFmpeg marks as an attached picture."""
    disposition = getattr(stream, "disposition", None)
    return disposition is not None and "attached_pic" in str(getattr(disposition, "name", disposition))
