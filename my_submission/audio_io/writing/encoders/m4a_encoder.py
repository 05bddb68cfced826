"""Encoding by FFmpeg's libraries (PyAV): AAC in M4A files."""

from __future__ import annotations

import contextlib
import functools
from fractions import Fraction
from typing import Any

import numpy as np

from my_submission.audio_io.writing.encoders.encoder import N_CHANNELS, Encoder, EncodingError, OutputFile, StemFile
from my_submission.audio_io.writing.tags.mp4_atoms import add_mp4_tags
from my_submission.errors import OutputError
from my_submission.stems import Waveform

_FRAME_SAMPLES = 1024
"""Samples of an AAC frame."""


class M4aEncoder(Encoder):
    """Encoder that uses FFmpeg's AAC.

    The edit list of the file states where the audio begins (after 1024 samples of the encoder's delay), and its table
    of durations the exact length.

    Args:
        file: the file to write.

    Raises:
        EncodingError: FFmpeg refuses the format.
    """

    def __init__(self, file: StemFile) -> None:
        require_aac()
        import av

        self._av = av
        self._rate, self._position = file.shape.sample_rate, 0
        self._waiting = np.zeros((N_CHANNELS, 0), np.float32)
        self._errors = (av.FFmpegError, OSError, ValueError)
        self._stem_file, self._output = file, OutputFile(file.path)
        # bitexact: no name and version of the library, no time
        options = {"fflags": "+bitexact", "movie_timescale": str(self._rate)}
        try:
            self._container = av.open(self._output, "w", format="ipod", options=options)
            self._stream = self._container.add_stream("aac", rate=self._rate)
            self._stream.layout = "stereo"
            self._stream.format = "fltp"
            self._stream.bit_rate = 1000 * (file.shape.bitrate or 0)
            self._stream.codec_context.time_base = self._stream.time_base = Fraction(1, self._rate)
        except self._errors as error:
            self._output.close()
            raise EncodingError(str(error)) from error

    def write(self, block: Waveform) -> None:
        """Append a block float32 (2, n); EncodingError if it cannot be written."""
        samples = np.concatenate([self._waiting, block], axis=1)
        whole = samples.shape[1] - samples.shape[1] % _FRAME_SAMPLES
        for start in range(0, whole, _FRAME_SAMPLES):
            self._encode(samples[:, start : start + _FRAME_SAMPLES])
        self._waiting = samples[:, whole:].copy()
        self._output.check()

    def close(self) -> None:
        """Complete the file; EncodingError if it cannot be written."""
        try:
            if self._waiting.size:
                self._encode(self._waiting)
            self._mux(None)
            self._container.close()
            self._output.check()
            if self._stem_file.tags:
                with self._stem_file.path.open("r+b") as opened:
                    add_mp4_tags(opened, self._stem_file.tags)
        except self._errors as error:
            self._output.check()
            raise EncodingError(getattr(error, "strerror", None) or str(error)) from error
        finally:
            self._output.close()

    def abandon(self) -> None:
        """Close an incomplete file without an error."""
        with contextlib.suppress(*self._errors):
            self._container.close()
        self._output.close()

    def _encode(self, samples: Waveform) -> None:
        frame = self._av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._position, Fraction(1, self._rate)
        self._position += samples.shape[1]
        self._mux(frame)

    def _mux(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except self._errors as error:
            self._output.check()
            raise EncodingError(str(error)) from error


@functools.cache
def _has_aac() -> bool:
    try:
        import av

        av.codec.Codec("aac", "w")
    except ImportError:
        return False
    except ValueError:  # an unknown codec
        return False
    return True


def require_aac() -> None:
    """Refuse M4A where PyAV is missing or has no AAC encoder.

    Raises:
        OutputError: M4A cannot be written here.
    """
    if not _has_aac():
        raise OutputError(
            "m4a files need PyAV with an AAC encoder, which is not installed",
            hint="pip install av, or choose another format",
        )
