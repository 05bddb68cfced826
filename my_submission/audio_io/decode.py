"""Reading audio files in blocks, whatever their format, in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from my_submission.audio_io.declared_length import missing_end
from my_submission.audio_io.decoder import AudioInfo, Decoder, cut_error, empty_error
from my_submission.audio_io.media_files import MediaDecoder
from my_submission.audio_io.sound_files import NotForLibsndfileError, SoundFileDecoder
from my_submission.errors import InputError
from my_submission.stems import Waveform

BLOCK_SAMPLES = 262_144
"""Six seconds at 44.1 kHz: 2 MiB of stereo float32."""

_logger = logging.getLogger(__name__)


def probe(path: str | PathLike[str]) -> AudioInfo:
    """Facts of an audio file, without decoding it all.

    Raises:
        InputError: the file is missing, unreadable, empty, cut (where its header tells) or not audio.
    """
    with open_decoder(path) as decoder:
        return decoder.info


def read_blocks(path: str | PathLike[str], *, block_samples: int = BLOCK_SAMPLES) -> Iterator[Waveform]:
    """Decode a file into consecutive blocks float32 (channels, n), n = ``block_samples`` except for the last.

    Integer samples are scaled as libsndfile does (16 bit: by 32768); float samples beyond ±1 are kept.

    Raises:
        InputError: as ``probe``; also in the middle, when the file turns out to be damaged or cut.
    """
    if block_samples < 1:
        raise ValueError(f"block_samples={block_samples} must be at least 1")
    with open_decoder(path) as decoder:
        yield from checked_blocks(decoder, block_samples)


def checked_blocks(decoder: Decoder, block_samples: int) -> Iterator[Waveform]:
    """The blocks of an open file, which must hold at least one sample."""
    is_empty = True
    for block in decoder.blocks(block_samples):
        is_empty = False
        yield block
    if is_empty:
        raise empty_error(decoder.info.path)


@contextmanager
def open_decoder(path: str | PathLike[str]) -> Iterator[Decoder]:
    """Open a file with libsndfile, or with FFmpeg's libraries where libsndfile declines."""
    file = Path(path)
    _check_file(file)
    try:
        decoder: Decoder = SoundFileDecoder(file)
    except NotForLibsndfileError as error:
        _logger.debug("%s: libsndfile declines (%s), trying FFmpeg", file, error)
        decoder = MediaDecoder(file)
    try:
        if decoder.info.samples == 0:
            raise empty_error(file)
        yield decoder
    finally:
        decoder.close()


def _check_file(path: Path) -> None:
    """Refuse what is not a readable, non-empty regular file with all of its audio."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError("this is a pipe or device, not a file", where=path, cure="write its audio to a file first")
        with path.open("rb") as file:
            is_empty = not file.read(1)
            missing = missing_end(file)
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=path, cure="check the path for typing errors") from error
    except IsADirectoryError as error:
        raise InputError("this is a folder, not an audio file", where=path, cure="name a file in it") from error
    except PermissionError as error:
        if path.is_dir():  # what Windows says of a folder
            raise InputError("this is a folder, not an audio file", where=path, cure="name a file in it") from error
        raise InputError(
            "there is no permission to read this file",
            where=path,
            cure="change its permissions (chmod u+r) or run as a user who may read it",
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"the file cannot be read ({reason})", where=path, cure="check the disk and path") from error
    if is_empty:
        raise InputError("the file is empty (0 bytes)", where=path, cure="copy or download it again")
    if missing is not None:
        raise cut_error(path, missing)
    if path.suffix.lower() == ".raw":
        raise InputError("raw samples have no header that says how to read them", where=path, cure="convert it to WAV")
