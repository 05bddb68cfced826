"""Decoding by libsndfile: WAV, FLAC, Ogg, MP3, AIFF and similar formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile

from my_submission.audio_io.decoding.decoder import AudioInfo, Decoder, cut_error
from my_submission.audio_io.decoding.file_facts import DataSpan, FileFacts
from my_submission.audio_io.decoding.file_part import FilePart
from my_submission.errors import InputError
from my_submission.stems import Waveform
from terminal.names import system_name

UNKNOWN_FRAMES = 2**62
"""Length that libsndfile reports if a FLAC header states none: the largest 64-bit number."""

_MP3_SLACK_SAMPLES = 2_304
"""Tolerance on the length of an MP3: two frames, which decoders drop or keep at the ends."""

_SAMPLE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_SAMPLE_BYTES |= {"ULAW": 1, "ALAW": 1}
"""Uncompressed formats, which can be read beyond the length in the header."""

_LITTLE_ENDIAN_FORMATS = {"WAV", "WAVEX", "RF64", "W64"}


class NotForLibsndfileError(Exception):
    """libsndfile cannot read this file; another decoder may."""


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A sound file that is read sequentially, without seeking.

    After every read soundfile seeks to its current position. This resets the bit reservoir of libsndfile's MP3 decoder,
    which damages the start of each block, and fails on a FLAC file of unknown length.
    """

    def seekable(self) -> bool:
        """Return False, which keeps soundfile from seeking."""
        return False


class SoundFileDecoder(Decoder):
    """Decoder that uses libsndfile.

    Uncompressed samples beyond the length in the header are read as well.

    Args:
        part: an existing file, or part of one.
        facts: facts of its structure.

    Raises:
        NotForLibsndfileError: libsndfile does not know the format, or would not read all of it.
        InputError: the header is damaged.
    """

    def __init__(self, part: FilePart, facts: FileFacts) -> None:
        if facts.needs_ffmpeg is not None:
            raise NotForLibsndfileError(facts.needs_ffmpeg)
        self._part, self._notes = part, list(facts.notes)
        self._files: list[Any] = []
        try:
            self._file = self._open(part)
            self.info = self._describe(facts)
        except BaseException:
            self.close()
            raise

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """Yield the samples in blocks float32 (channels, n); InputError if the file is too short."""
        decoded = 0
        while True:
            try:
                frames = self._file.read(block_samples, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise self._damaged(decoded, error) from error
            if not len(frames):
                break
            decoded += len(frames)
            yield np.ascontiguousarray(frames.T)
        slack = _MP3_SLACK_SAMPLES if self.info.container == "MP3" else 0
        if self.info.samples is not None and decoded < self.info.samples - slack:
            raise self._damaged(decoded, None)

    def close(self) -> None:
        """Close the file."""
        while self._files:
            self._files.pop().close()

    def _open(self, part: FilePart, **raw: str | int) -> soundfile.SoundFile:
        source: Any = system_name(part.path)
        if not part.is_whole:
            source = part.open()
            self._files.append(source)
        try:
            file = _ForwardFile(source, **raw)
        except soundfile.LibsndfileError as error:
            raise NotForLibsndfileError(error.error_string) from error
        self._files.append(file)
        return file

    def _describe(self, facts: FileFacts) -> AudioInfo:
        file = self._file
        container, codec, frames = file.format, file.subtype, file.frames
        if container == "MP3" and not facts.has_exact_length:
            raise NotForLibsndfileError("no count of frames that agrees with the file")
        if codec.startswith("MPEG") and container != "MP3":
            raise NotForLibsndfileError("it would estimate the length of the MP3 inside")
        info = AudioInfo(
            self._part.path,
            file.samplerate,
            file.channels,
            None if frames >= UNKNOWN_FRAMES else frames,
            container,
            codec,
        )
        return info if facts.span is None else self._all_of_span(info, facts.span)

    def _all_of_span(self, info: AudioInfo, span: DataSpan) -> AudioInfo:
        """Read the samples without the header if it states fewer than the file has."""
        if info.codec not in _SAMPLE_BYTES:
            if span.surplus or (span.declared is None and not info.samples and span.available):
                raise NotForLibsndfileError("the file has more audio than its header states")
            return info
        frame_bytes = _SAMPLE_BYTES[info.codec] * info.channels
        samples, n_by_header = span.audio // frame_bytes, info.samples or 0
        if span.declared is not None:
            promised = min(n_by_header, span.declared // frame_bytes)
            if samples > promised:
                self._notes.append(
                    f"its header states {promised / info.sample_rate:.3f} s of audio; "
                    f"{(samples - promised) / info.sample_rate:.3f} s more follow and were read"
                )
        if samples <= n_by_header:
            return info
        endian = self._file.endian
        if endian == "FILE":
            endian = "LITTLE" if info.container in _LITTLE_ENDIAN_FORMATS else "BIG"
        start = self._part.start + span.start
        self._file = self._open(
            FilePart(self._part.path, start, start + samples * frame_bytes),
            format="RAW",
            samplerate=info.sample_rate,
            channels=info.channels,
            subtype=info.codec,
            endian=endian,
        )
        return AudioInfo(info.path, info.sample_rate, info.channels, samples, info.container, info.codec)

    def _damaged(self, decoded: int, error: soundfile.LibsndfileError | None) -> InputError:
        rate, declared = self.info.sample_rate, self.info.samples
        whole = "" if declared is None else f" of {declared / rate:.3f} s"
        if error is None:
            return cut_error(self.info.path, f"its audio ends after {decoded / rate:.3f} s{whole}")
        reason = error.error_string or f"libsndfile error {error.code}"
        return cut_error(
            self.info.path, f"its audio breaks at some point after {decoded / rate:.3f} s{whole} ({reason})"
        )
