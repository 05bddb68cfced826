"""Lengths of songs by their headers alone, for estimates: no file is read to its end."""

from __future__ import annotations

from pathlib import Path

import soundfile

from my_submission.audio_io.decoding.decoder import DEFAULT_READ_OPTIONS, ReadOptions
from my_submission.audio_io.decoding.media_containers import import_av, open_container
from my_submission.audio_io.decoding.media_files import MEDIA_ERRORS, declared_seconds
from my_submission.audio_io.decoding.mpeg_frames import has_frame_count
from my_submission.audio_io.decoding.sound_files import UNKNOWN_FRAMES
from my_submission.audio_io.decoding.tracks import choose_track
from my_submission.errors import InputError
from terminal.names import system_name


def stated_seconds(path: Path, options: ReadOptions = DEFAULT_READ_OPTIONS) -> float | None:
    """Return the length in seconds that the header of a file states; None if it states none or cannot be read.

    :func:`my_submission.audio_io.probe` compares it with the content, and reads whole FLAC and MP3 files for that.
    """
    try:
        if not path.is_file():
            return None
        info = soundfile.info(system_name(path))
        is_unknown = info.frames >= UNKNOWN_FRAMES or (info.subtype.startswith("MPEG") and not _has_count(path))
    except soundfile.LibsndfileError:
        return _stated_by_media(path, options)
    except (OSError, ValueError, TypeError):  # soundfile's error for raw samples is a TypeError
        return None
    return None if is_unknown else float(info.frames / info.samplerate)


def _has_count(path: Path) -> bool:
    """Whether an MP3 counts its frames; libsndfile estimates the length by the first ones otherwise."""
    with path.open("rb") as file:
        return has_frame_count(file)


def _stated_by_media(path: Path, options: ReadOptions) -> float | None:
    """Return the length of a file that FFmpeg's libraries read."""
    try:
        av = import_av(path)
    except InputError:
        return None
    try:
        with path.open("rb") as file, open_container(av, file) as container:
            return declared_seconds(container, choose_track(path, container, options)[0])
    except (InputError, av.FFmpegError, *MEDIA_ERRORS):
        return None
