"""Encoding by libsndfile: WAV, FLAC, AIFF, MP3 (LAME), Ogg Vorbis and Opus."""

from __future__ import annotations

import contextlib
import zlib
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from my_submission.audio_io.writing.audio_format import SUBTYPE_BYTES, AudioFormat
from my_submission.audio_io.writing.encoders.encoder import N_CHANNELS, Encoder, EncodingError, OutputFile, StemFile
from my_submission.audio_io.writing.encoders.flac_stream import FlacStream
from my_submission.audio_io.writing.encoders.ogg_stream import OggStream
from my_submission.audio_io.writing.encoders.shifted_file import ShiftedFile
from my_submission.audio_io.writing.tags import SongTags
from my_submission.audio_io.writing.tags.chunk_tags import add_chunk_tags
from my_submission.audio_io.writing.tags.id3 import id3_tag
from my_submission.audio_io.writing.tags.vorbis_comments import vorbis_comments
from my_submission.dsp.interleaving import interleaved
from my_submission.dsp.pcm import Dither, pcm_frames
from my_submission.errors import OutputError
from my_submission.stems import Waveform
from terminal.names import system_name

_CONTAINERS = {"wav": "WAV", "flac": "FLAC", "aiff": "AIFF", "mp3": "MP3", "ogg": "OGG", "opus": "OGG"}

_MP3_BITRATE_RANGES = ((16_000, 8, 64), (32_000, 8, 160), (1 << 30, 32, 320))
"""Sample rate in Hz below which these are libsndfile's lowest and highest bit rate of an MP3, in kbit/s."""

_VORBIS_BITRATES = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
"""Nominal bit rates in kbit/s of libvorbis' qualities 0 … 10, for stereo at 44.1 kHz."""

_OPUS_BITRATES = (12, 512)
"""Bit rates in kbit/s of libsndfile's compression levels 1 and 0, for stereo."""

_BLOCK_FRAMES = 16_384
"""libvorbis decides by the samples that it has; blocks of one length make its output independent of the caller's."""


class SoundFileEncoder(Encoder):
    """Encoder that uses libsndfile.

    Args:
        file: the file to write.

    Raises:
        EncodingError: libsndfile refuses the format.
    """

    def __init__(self, file: StemFile) -> None:
        self._stem_file, self._target = file, _target_of(file)
        kind, subtype = file.audio_format.file_format, file.audio_format.subtype
        is_integer = subtype.startswith("PCM") and (kind != "flac" or file.audio_format.dither)
        self._bits = 8 * SUBTYPE_BYTES[subtype] if is_integer else None
        self._has_fixed_blocks = kind == "ogg"
        self._waiting = np.zeros((0, N_CHANNELS), np.float32)
        self._dither = Dither(zlib.crc32(file.name.encode())) if file.audio_format.dither else None
        try:
            self._file = soundfile.SoundFile(
                system_name(file.path) if self._target is None else self._target,
                "w",
                file.shape.sample_rate,
                N_CHANNELS,
                subtype,
                format="RF64" if file.is_rf64 else _CONTAINERS[kind],
                **_compression(file.audio_format, file.shape.sample_rate, file.shape.bitrate),
            )
        except (soundfile.LibsndfileError, TypeError) as error:
            self._close_target()
            raise EncodingError(getattr(error, "error_string", None) or str(error)) from error
        except BaseException:
            self._close_target()
            raise

    def write(self, block: Waveform) -> None:
        """Append a block float32 (2, n); EncodingError if it cannot be written."""
        if self._bits is not None:
            self._put(pcm_frames(block, bits=self._bits, dither=self._dither))
        elif not self._has_fixed_blocks:
            self._put(interleaved(block))
        else:
            frames = np.concatenate([self._waiting, interleaved(block)])
            whole = len(frames) - len(frames) % _BLOCK_FRAMES
            for start in range(0, whole, _BLOCK_FRAMES):
                self._put(frames[start : start + _BLOCK_FRAMES])
            self._waiting = frames[whole:].copy()

    def _put(self, frames: npt.NDArray[Any]) -> None:
        try:
            self._file.write(frames)
        except (soundfile.LibsndfileError, OSError, AssertionError) as error:
            self._check_target()
            # soundfile asserts the number of samples written
            raise EncodingError(str(error).strip() or "write failed") from error
        self._check_target()

    def close(self) -> None:
        """Complete the file; EncodingError if it cannot be written."""
        try:
            if len(self._waiting):
                self._put(self._waiting)
            self._file.close()
            if self._target is not None:
                self._target.finish()
        except (soundfile.LibsndfileError, OSError) as error:
            raise EncodingError(str(error).strip() or "write failed") from error
        finally:
            self._close_target()
        self._check_target()
        self._finish_file()

    def abandon(self) -> None:
        """Close an incomplete file without an error."""
        with contextlib.suppress(soundfile.LibsndfileError, EncodingError, OSError):
            self._file.close()
        self._close_target()

    def _finish_file(self) -> None:
        """Change what libsndfile has written: no time stamp, and tags behind the audio of WAV and AIFF."""
        kind, tags = self._stem_file.audio_format.file_format, self._stem_file.tags
        try:
            with self._stem_file.path.open("r+b") as file:
                _clear_timestamp(file)
                if kind in {"wav", "aiff"} and tags:
                    add_chunk_tags(file, tags)
        except OSError as error:
            raise EncodingError(error.strerror or str(error)) from error

    def _check_target(self) -> None:
        if self._target is not None:
            self._target.output.check()

    def _close_target(self) -> None:
        if self._target is not None:
            self._target.output.close()


def require_codec(audio_format: AudioFormat) -> None:
    """Refuse a format that this build of libsndfile cannot write; those in soundfile's wheels can write all.

    Raises:
        OutputError: this build cannot write it.
    """
    container = _CONTAINERS[audio_format.file_format]
    if not soundfile.check_format(container, audio_format.subtype):
        version = soundfile.__libsndfile_version__
        raise OutputError(
            f"libsndfile {version} here cannot write {audio_format.file_format} files ({audio_format.subtype})",
            hint="pip install --force-reinstall soundfile, or choose another format",
        )


def _target_of(file: StemFile) -> OggStream | ShiftedFile | FlacStream | None:
    """Return the object that libsndfile writes to instead of the file itself, if one is needed."""
    kind, tags = file.audio_format.file_format, file.tags or SongTags()
    if kind in {"ogg", "opus"}:
        comments = vorbis_comments(tags, has_picture=True)
        return OggStream(OutputFile(file.path), serial=zlib.crc32(file.name.encode()), comments=comments)
    if kind == "mp3":
        return ShiftedFile(OutputFile(file.path), id3_tag(tags))
    return FlacStream(OutputFile(file.path), tags) if kind == "flac" and tags else None


def _compression(audio_format: AudioFormat, sample_rate: int, bitrate: int | None) -> dict[str, Any]:
    """Return soundfile's arguments for a bit rate; its compression levels are 0 … 1, 0 the highest bit rate."""
    if bitrate is None:
        return {}
    if audio_format.file_format == "mp3":
        low, high = next((low, high) for below, low, high in _MP3_BITRATE_RANGES if sample_rate < below)
        return {"bitrate_mode": "CONSTANT", "compression_level": (high - bitrate) / (high - low)}
    if audio_format.file_format == "ogg":
        quality = float(np.interp(bitrate, _VORBIS_BITRATES, np.arange(len(_VORBIS_BITRATES))))
        return {"compression_level": 1 - quality / 10}
    low, high = _OPUS_BITRATES
    return {"compression_level": (high - bitrate) / (high - low)}


def _clear_timestamp(file: BinaryIO) -> None:
    """Set the time stamp that libsndfile writes into float WAV files to zero, so that equal stems are equal files."""
    head = file.read(256)
    position = head.find(b"PEAK")
    is_riff = head[:4] == b"RIFF" and 0 < position < head.find(b"data")
    if is_riff or (head[:4] == b"FORM" and 0 < position < head.find(b"SSND")):
        file.seek(position + 12)  # after the name, the size and the version, of four bytes each
        file.write(bytes(4))
