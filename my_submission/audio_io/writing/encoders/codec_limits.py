"""Sample rates and bit rates that each codec can hold, and what is used instead of others."""

from __future__ import annotations

from dataclasses import dataclass

from my_submission.audio_io.writing.audio_format import MP3_BITRATES, AudioFormat
from my_submission.dsp.resampling import resampled_length

_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
_OPUS_RATES = (48_000,)
"""Opus can be told a lower rate, but every decoder returns 48 kHz."""

_VORBIS_RATES = (8_000, 192_000)
"""Lowest and highest rate of Vorbis; it takes every rate between them. libvorbis crashes at much higher ones."""

_RATES = {"mp3": _MP3_RATES, "m4a": _AAC_RATES, "opus": _OPUS_RATES}

_MP3_HIGHEST = ((16_000, 64), (32_000, 160))
"""Highest bit rate in kbit/s of MP3 files below a sample rate in Hz (MPEG-2.5, MPEG-2)."""

_AAC_BITS_PER_SAMPLE = 12
"""Limit of AAC: 6144 bits per channel and frame of 1024 samples, for two channels."""


@dataclass(frozen=True)
class FileShape:
    """Sample rate, length and bit rate of a stem's file.

    Attributes:
        sample_rate: sample rate in Hz.
        samples: length at that rate.
        bitrate: bit rate in kbit/s; None for lossless formats.
        notes: what differs from the request and why, one clause each.
    """

    sample_rate: int
    samples: int
    bitrate: int | None
    notes: tuple[str, ...] = ()


def file_shape(audio_format: AudioFormat, sample_rate: int, samples: int) -> FileShape:
    """Return the shape of a file for stems of this rate and length.

    A rate that the codec cannot hold becomes the next higher one that it can hold, or else its highest. A bit rate that
    the codec cannot have at this sample rate becomes the highest one that it can have.
    """
    kind = audio_format.file_format
    rate = _held_rate(kind, sample_rate)
    bitrate = _held_bitrate(kind, rate, audio_format.bitrate)
    notes = []
    if rate != sample_rate:
        notes.append(f"{kind} files cannot have {sample_rate} Hz, so the stems are resampled to {rate} Hz")
    if bitrate != audio_format.bitrate:
        limit = f"at {rate} Hz {kind} files have at most {bitrate} kbit/s"
        notes.append(f"{limit}, which is used instead of {audio_format.bitrate} kbit/s")
    length = samples if rate == sample_rate else resampled_length(samples, sample_rate, rate)
    return FileShape(rate, length, bitrate, tuple(notes))


def _held_rate(kind: str, rate: int) -> int:
    if kind == "ogg":
        low, high = _VORBIS_RATES
        return min(max(rate, low), high)
    rates = _RATES.get(kind, (rate,))
    return next((held for held in rates if held >= rate), rates[-1])


def _held_bitrate(kind: str, rate: int, bitrate: int | None) -> int | None:
    if bitrate is None:
        return None
    if kind == "mp3":
        highest = next((limit for below, limit in _MP3_HIGHEST if rate < below), MP3_BITRATES[-1])
        return min(bitrate, highest)
    if kind == "m4a":
        return min(bitrate, _AAC_BITS_PER_SAMPLE * rate // 1000)
    return bitrate
