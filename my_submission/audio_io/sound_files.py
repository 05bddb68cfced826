"""Decoding by libsndfile: WAV, FLAC, Ogg, MP3, AIFF and their kin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from my_submission.audio_io.declared_length import data_span, has_mp3_length
from my_submission.audio_io.decoder import AudioInfo, cut_error
from my_submission.errors import InputError
from my_submission.stems import Waveform
from terminal.names import system_name

_UNKNOWN_FRAMES = 2**62
"""libsndfile reports the largest 64-bit number where a FLAC header leaves the length open."""

_MP3_SLACK_SAMPLES = 2_304
"""Two MP3 frames: players differ by so much in what they drop at the ends."""


class NotForLibsndfileError(Exception):
    """libsndfile does not take this file; another decoder may."""


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A sound file that is only read onwards.

    After every read soundfile seeks to where it is already, which makes libsndfile's MP3 decoder forget the bits it
    had in reserve and return garbage at the start of each block, and which fails on a FLAC file of unknown length.
    """

    def seekable(self) -> bool:
        """Never: that is what keeps soundfile from seeking."""
        return False


class SoundFileDecoder:
    """A file that libsndfile reads.

    Args:
        path: an existing file.

    Raises:
        NotForLibsndfileError: libsndfile does not know the format, or would read nothing of it.
        InputError: the header is damaged.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            has_length, span = has_mp3_length(file), data_span(file)
        is_open_ended = span is not None and span.declared is None and span.available > 0
        try:
            self._file = _ForwardFile(system_name(path))
        except soundfile.LibsndfileError as error:
            raise NotForLibsndfileError(error.error_string) from error
        try:
            if is_open_ended and not self._file.frames:
                raise NotForLibsndfileError("the header gives a length of 0 and samples follow")
            is_guess = self._file.frames >= _UNKNOWN_FRAMES or (self._file.format == "MP3" and not has_length)
            samples = None if is_guess else self._file.frames
            self._info = AudioInfo(
                path, self._file.samplerate, self._file.channels, samples, self._file.format, self._file.subtype
            )
        except BaseException:
            self._file.close()
            raise

    @property
    def info(self) -> AudioInfo:
        """Facts of the file."""
        return self._info

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """The samples in blocks float32 (channels, n); a file that ends before its header says is an InputError."""
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
        slack = _MP3_SLACK_SAMPLES if self._info.container == "MP3" else 0
        if self._info.samples is not None and decoded < self._info.samples - slack:
            raise self._damaged(decoded, None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _damaged(self, decoded: int, error: soundfile.LibsndfileError | None) -> InputError:
        rate, declared = self._info.sample_rate, self._info.samples
        whole = "" if declared is None else f" of {declared / rate:.3f} s"
        if error is None:
            return cut_error(self._info.path, f"its audio ends after {decoded / rate:.3f} s{whole}")
        reason = error.error_string or f"libsndfile error {error.code}"
        return cut_error(
            self._info.path, f"its audio breaks at some point after {decoded / rate:.3f} s{whole} ({reason})"
        )
