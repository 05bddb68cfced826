"""Choice among several audio tracks of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from my_submission.audio_io.decoding.audio_suffixes import STEM_FILE_SUFFIX
from my_submission.audio_io.decoding.decoder import ReadOptions
from my_submission.errors import InputError

_DEFAULT = 1
"""The bit of FFmpeg's dispositions that marks the default track."""


def choose_track(path: Path, container: Any, options: ReadOptions) -> tuple[Any, str | None]:
    """Return the audio stream to read of an open PyAV container, and a note if there are several.

    It is the requested one, else the default one if that has one or two channels or may be mixed down, else the
    first with one or two channels, else the first that can be decoded.

    Raises:
        InputError: there is none, the requested one does not exist, or its codec is unknown.
    """
    streams = list(container.streams.audio)
    if not streams:
        raise InputError(
            "there is no audio stream in this file", where=path, hint="give a file with sound, such as WAV or M4A"
        )
    if options.audio_track is not None:
        return _asked(path, streams, options.audio_track), None
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise _unknown_codec(path)
    if path.name.lower().endswith(STEM_FILE_SUFFIX) and streams[0] in known:
        return streams[0], None
    fits = [stream for stream in known if _n_channels(stream) <= 2]
    marked = [stream for stream in known if _is_default(stream) and (options.downmix or stream in fits)]
    chosen, reason = known[0], "the first that can be decoded"
    if marked:
        chosen, reason = marked[0], "the default one"
    elif fits and not options.downmix:
        chosen, reason = fits[0], "the first with one or two channels"
    if len(streams) == 1:
        return chosen, None
    number = streams.index(chosen) + 1
    return chosen, f"audio track {number} of {len(streams)} was read, {reason}; --audio-track chooses another"


def check_single_track(path: Path, options: ReadOptions) -> None:
    """Refuse any track number but 1 for a file with one track.

    Raises:
        InputError: another number is requested.
    """
    if options.audio_track is not None and options.audio_track != 1:
        raise _no_such_track(path, options.audio_track, 1)


def _asked(path: Path, streams: list[Any], number: int) -> Any:
    if not 1 <= number <= len(streams):
        raise _no_such_track(path, number, len(streams))
    if streams[number - 1].codec_context is None:
        raise _unknown_codec(path)
    return streams[number - 1]


def _n_channels(stream: Any) -> int:
    return int(stream.codec_context.layout.nb_channels)


def _is_default(stream: Any) -> bool:
    """Return whether the file marks a track as default; always False with PyAV 14.0."""
    disposition = getattr(stream, "disposition", 0)
    return bool(int(getattr(disposition, "value", disposition)) & _DEFAULT)


def _no_such_track(path: Path, number: int, n_tracks: int) -> InputError:
    return InputError(
        f"there is no audio track {number}, the file has {n_tracks}",
        where=path,
        hint=f"give a number from 1 to {n_tracks}" if n_tracks > 1 else "omit the track number",
    )


def _unknown_codec(path: Path) -> InputError:
    return InputError(
        "the codec of its audio stream is not known to the FFmpeg libraries here (or the file is protected)",
        where=path,
        hint="convert it to WAV or FLAC with the program that made it",
    )
