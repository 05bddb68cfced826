"""What every decoder offers: facts of a file, then its samples in blocks; and the errors they share."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from my_submission.errors import InputError
from my_submission.stems import Waveform

_LOWEST_RATE_HZ = 1_000
_HIGHEST_RATE_HZ = 1_536_000
"""Telephone recordings have 8 kHz, the fastest converters 1.536 MHz; outside that range a header is damaged."""


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file of several audio tracks, or of more than two channels.

    Attributes:
        audio_track: which track, counted from 1; None for the default one, or else the first with one or two channels.
        downmix: whether more than two channels are mixed down to stereo; else they are refused.
    """

    audio_track: int | None = None
    downmix: bool = False


DEFAULT_READ_OPTIONS = ReadOptions()


@dataclass(frozen=True)
class AudioInfo:
    """Facts of an audio file.

    Attributes:
        path: the file.
        sample_rate: in Hz.
        channels: how many.
        samples: length in samples of each channel; None where only decoding tells.
        container: the file format, such as "WAV", "FLAC" or "mov,mp4,m4a,3gp,3g2,mj2".
        codec: how samples are stored, such as "PCM_16", "VORBIS" or "aac".
        declared_seconds: length as the file states it, rounded where ``samples`` is None; None where it states none.
    """

    path: Path
    sample_rate: int
    channels: int
    samples: int | None
    container: str
    codec: str
    declared_seconds: float | None = None

    def __post_init__(self) -> None:
        if not _LOWEST_RATE_HZ <= self.sample_rate <= _HIGHEST_RATE_HZ:
            raise InputError(
                f"the header gives a sample rate of {self.sample_rate} Hz, which no recording has",
                where=self.path,
                hint="the file is damaged or mislabelled: export it again at 44100 Hz",
            )
        if self.channels < 1:
            raise InputError("the header gives no channel", where=self.path, hint="export the file again")
        if self.samples is not None:
            object.__setattr__(self, "declared_seconds", self.samples / self.sample_rate)


class Decoder(Protocol):
    """An open audio file."""

    @property
    def info(self) -> AudioInfo:
        """Facts of the file."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how the file was read, a clause each; complete after the last block."""

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """The samples from the first to the last, in float32 (channels, n) of at most ``block_samples``.

        Raises:
            InputError: the file turns out to be damaged or cut.
        """

    def close(self) -> None:
        """Close the file."""


def in_blocks(blocks: Iterable[Waveform], block_samples: int) -> Iterator[Waveform]:
    """The same samples in blocks of one length, but for the last."""
    waiting: list[Waveform] = []
    n_waiting = 0
    for block in blocks:
        waiting.append(block)
        n_waiting += block.shape[1]
        if n_waiting >= block_samples:
            joined = np.concatenate(waiting, axis=1)
            whole = n_waiting - n_waiting % block_samples
            for start in range(0, whole, block_samples):
                yield np.ascontiguousarray(joined[:, start : start + block_samples])
            waiting, n_waiting = [joined[:, whole:]], n_waiting - whole
    if n_waiting:
        yield np.concatenate(waiting, axis=1)


def cut_error(path: Path, detail: str) -> InputError:
    """The error for a file whose end is missing."""
    return InputError(
        f"the file is truncated: {detail}",
        where=path,
        hint=f"copy or download it again; to save what can still be decoded: {salvage_command(path)}",
    )


def damaged_error(path: Path, detail: str) -> InputError:
    """The error for a file of which a part is damaged."""
    return InputError(
        f"the file is damaged: {detail}",
        where=path,
        hint=f"copy or download it again; to save what can still be decoded: {salvage_command(path)}",
    )


def unreadable_error(path: Path, detail: str) -> InputError:
    """The error for a file that neither libsndfile nor FFmpeg takes for audio."""
    return InputError(
        f"this is not audio that can be decoded ({detail})",
        where=path,
        hint="give a WAV, FLAC, Ogg, MP3, M4A or .stem.mp4 file; if it plays elsewhere, convert it to WAV first",
    )


def empty_error(path: Path) -> InputError:
    """The error for a file without a single sample."""
    return InputError("the file holds no samples", where=path, hint="record or export it again")


def salvage_command(path: Path) -> str:
    """A command that writes whatever can be decoded into a new file."""
    return shlex.join(["ffmpeg", "-i", path.name, f"{path.stem} salvaged.wav"])
