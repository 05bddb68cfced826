"""Decoding of audio files of any format in blocks, in bounded memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path

from my_submission.audio_io.decoding.declared_length import file_facts
from my_submission.audio_io.decoding.decoder import (
    DEFAULT_READ_OPTIONS,
    AudioInfo,
    Decoder,
    ReadOptions,
    cut_error,
    damaged_error,
    empty_error,
    unreadable_error,
)
from my_submission.audio_io.decoding.file_facts import FileFacts
from my_submission.audio_io.decoding.file_part import FilePart
from my_submission.audio_io.decoding.joined_files import JoinedDecoder
from my_submission.audio_io.decoding.media_files import MediaDecoder
from my_submission.audio_io.decoding.sound_files import NotForLibsndfileError, SoundFileDecoder
from my_submission.audio_io.decoding.tracks import check_single_track
from my_submission.errors import InputError
from my_submission.stems import Waveform

BLOCK_SAMPLES = 262_144
"""Default block: six seconds at 44.1 kHz, 2 MiB of stereo float32."""

_MAX_RECORDINGS = 10_000
"""Limit on joined recordings in a file; a hostile one could contain one every hundred bytes."""

_Recording = tuple[FilePart, FileFacts]

_logger = logging.getLogger(__name__)


def probe(path: str | PathLike[str], options: ReadOptions = DEFAULT_READ_OPTIONS) -> AudioInfo:
    """Return facts of an audio file without decoding all of it.

    Raises:
        InputError: the file is missing, unreadable, empty, cut (if its header shows it) or not audio.
    """
    with open_decoder(path, options) as decoder:
        return decoder.info


def read_blocks(path: str | PathLike[str], *, block_samples: int = BLOCK_SAMPLES) -> Iterator[Waveform]:
    """Decode a file into consecutive blocks float32 (channels, n), n = ``block_samples`` except for the last.

    Integer samples are scaled as libsndfile does (16 bit: by 32768); float samples beyond ±1 are kept.

    Raises:
        InputError: as :func:`probe`; also while decoding, when the file turns out to be damaged or cut.
    """
    if block_samples < 1:
        raise ValueError(f"block_samples={block_samples} must be at least 1")
    with open_decoder(path) as decoder:
        yield from checked_blocks(decoder, block_samples)


def checked_blocks(decoder: Decoder, block_samples: int) -> Iterator[Waveform]:
    """Yield the blocks of an open file, which must hold at least one sample."""
    is_empty = True
    for block in decoder.blocks(block_samples):
        is_empty = False
        yield block
    if is_empty:
        raise empty_error(decoder.info.path)


@contextmanager
def open_decoder(path: str | PathLike[str], options: ReadOptions = DEFAULT_READ_OPTIONS) -> Iterator[Decoder]:
    """Open a file with libsndfile, or with FFmpeg's libraries where libsndfile cannot read all of it."""
    file = Path(path)
    with _reading(file):
        _check_readable(file)
        recordings = _recordings(file)
    decoder = _open(file, recordings, options)
    try:
        if decoder.info.samples == 0:
            raise empty_error(file)
        yield decoder
    finally:
        decoder.close()


def _open(file: Path, recordings: list[_Recording], options: ReadOptions) -> Decoder:
    if len(recordings) == 1:
        return _open_part(*recordings[0], options)
    return JoinedDecoder(file, [partial(_open_part, part, facts, options) for part, facts in recordings])


def _open_part(part: FilePart, facts: FileFacts, options: ReadOptions) -> Decoder:
    try:
        decoder = SoundFileDecoder(part, facts)
    except NotForLibsndfileError as error:
        _logger.debug("%s: libsndfile cannot read it (%s), trying FFmpeg", part.path, error)
        return MediaDecoder(part, facts, options)
    try:
        check_single_track(part.path, options)
    except InputError:
        decoder.close()
        raise
    if not options.downmix or decoder.info.channels <= 2:
        return decoder
    decoder.close()  # libsndfile does not name the channels
    return MediaDecoder(part, facts, options)


def _recordings(path: Path) -> list[_Recording]:
    """Return the joined recordings of a file; refuse it if its structure shows that something is missing."""
    recordings: list[_Recording] = []
    start: int | None = 0
    while start is not None:
        with FilePart(path, start).open() as file:
            facts = file_facts(file)
        _refuse_broken(path, facts)
        stop = None if facts.next_at is None else start + facts.next_at
        recordings.append((FilePart(path, start, stop), facts))
        start = stop
        if len(recordings) > _MAX_RECORDINGS:
            raise unreadable_error(path, f"it contains more than {_MAX_RECORDINGS} joined recordings")
    return recordings


def _refuse_broken(path: Path, facts: FileFacts) -> None:
    if facts.unusable is not None:
        raise unreadable_error(path, facts.unusable)
    if facts.missing is not None:
        raise cut_error(path, facts.missing)
    if facts.damage is not None:
        raise damaged_error(path, facts.damage)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Translate errors of the operating system into InputError."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=path, hint="check the path for typing errors") from error
    except IsADirectoryError as error:
        raise InputError("this is a folder, not an audio file", where=path, hint="name a file in it") from error
    except PermissionError as error:
        if os.path.isdir(path):  # the error of Windows for a folder
            raise InputError("this is a folder, not an audio file", where=path, hint="name a file in it") from error
        raise InputError(
            "there is no permission to read this file",
            where=path,
            hint="change its permissions (chmod u+r) or run as a user who may read it",
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"the file cannot be read ({reason})", where=path, hint="check the disk and path") from error


def _check_readable(path: Path) -> None:
    """Refuse anything but a readable, non-empty regular file with a header."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError("this is a pipe or device, not a file", where=path, hint="write its audio to a file first")
    with path.open("rb") as file:
        if not file.read(1):
            raise InputError("the file is empty (0 bytes)", where=path, hint="copy or download it again")
    if path.suffix.lower() == ".raw":
        raise InputError("raw samples have no header with their format", where=path, hint="convert it to WAV")
