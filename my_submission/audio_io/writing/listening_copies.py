"""Small copies of songs and stems for listening in a browser: Opus in WebM, encoded by FFmpeg's libraries (PyAV)."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from my_submission.audio_io.mixture import N_CHANNELS
from my_submission.dsp.resampling import StreamResampler
from my_submission.errors import OutputError
from my_submission.stems import Waveform

MEDIA_TYPE = "audio/webm"

_RATE = 48_000
"""The rate of every Opus decoder."""

_COMPLEXITY = 5
"""Encoder complexity, 0 … 10: an hour of music takes half a minute; 10 takes twice as long and is hardly better."""


def has_listening_copies() -> bool:
    """Whether the installed PyAV can encode Opus; its wheels can."""
    return _has_opus()


def listening_copy(blocks: Iterable[Waveform], sample_rate: int, *, bitrate: int) -> bytes:
    """Return a signal as an Opus file in a WebM container; equal signals give equal files.

    Current versions of all browsers play it, Safari since 16.

    Args:
        blocks: consecutive blocks (channels, n) of one or two channels.
        sample_rate: sample rate of the blocks, in Hz.
        bitrate: bit rate in kbit/s.

    Raises:
        OutputError: PyAV has no Opus encoder, or encoding failed.
    """
    if not _has_opus():
        raise OutputError("listening copies need PyAV with Opus, which is not installed", hint="pip install av")
    import av

    target = io.BytesIO()
    try:
        with av.open(target, "w", format="webm", options={"fflags": "+bitexact"}) as container:
            stream: Any = container.add_stream("libopus", rate=_RATE)
            stream.layout, stream.bit_rate = "stereo", 1000 * bitrate
            stream.options = {"compression_level": str(_COMPLEXITY), "vbr": "on"}
            position = 0
            for block in _at_rate(blocks, sample_rate):
                wide = np.ascontiguousarray(np.broadcast_to(block, (N_CHANNELS, block.shape[1])).T).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(wide, format="flt", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = _RATE, position, Fraction(1, _RATE)
                position += block.shape[1]
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(f"a listening copy cannot be encoded ({error})") from error
    return target.getvalue()


def _at_rate(blocks: Iterable[Waveform], sample_rate: int) -> Iterator[Waveform]:
    """Yield the blocks at 48 kHz, without empty ones."""
    resampler: StreamResampler | None = None
    for block in blocks:
        resampler = resampler or StreamResampler(sample_rate, _RATE, channels=block.shape[0])
        resampled = resampler.push(block)
        if resampled.shape[1]:
            yield resampled
    if resampler is not None:
        last = resampler.finish()
        if last.shape[1]:
            yield last


@functools.cache
def _has_opus() -> bool:
    try:
        import av

        av.codec.Codec("libopus", "w")
    except (ImportError, ValueError):  # ValueError: an unknown codec
        return False
    return True
