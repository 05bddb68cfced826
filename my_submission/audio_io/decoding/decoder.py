"""Interface of decoders: facts of a file, then its samples in blocks; and their common errors."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from my_submission.errors import InputError
from my_submission.stems import Waveform

_LOWEST_RATE_HZ = 1_000
_HIGHEST_RATE_HZ = 1_536_000
"""Valid sample rates in Hz: telephone recordings have 8 kHz, the fastest converters 1.536 MHz."""


@dataclass(frozen=True)
class ReadOptions:
    """Options for files with several audio tracks or more than two channels.

    Attributes:
        audio_track: number of the track, from 1; None for the default one, or else the first with one or two channels.
        downmix: whether more than two channels are mixed down to stereo instead of refused.
    """

    audio_track: int | None = None
    downmix: bool = False


DEFAULT_READ_OPTIONS = ReadOptions()


@dataclass(frozen=True)
class AudioInfo:
    """Facts of an audio file.

    Attributes:
        path: the file.
        sample_rate: sample rate in Hz.
        channels: number of channels.
        samples: length in samples per channel; None if it is known only after decoding.
        container: the file format, such as "WAV", "FLAC" or "mov,mp4,m4a,3gp,3g2,mj2".
        codec: encoding of the samples, such as "PCM_16", "VORBIS" or "aac".
        declared_seconds: length that the file states, rounded where ``samples`` is None; None if it states none.
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
                f"the header gives a sample rate of {self.sample_rate} Hz, which is impossible",
                where=self.path,
                hint="the file is damaged or mislabelled: export it again at 44100 Hz",
            )
        if self.channels < 1:
            raise InputError("the header gives no channel", where=self.path, hint="export the file again")
        if self.samples is not None:
            object.__setattr__(self, "declared_seconds", self.samples / self.sample_rate)


class Decoder(ABC):
    """An open audio file.

    Attributes:
        info: facts of the file.
    """

    info: AudioInfo
    _notes: list[str]

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on how the file was read, one clause each; complete after the last block."""
        return tuple(self._notes)

    @abstractmethod
    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """Yield all samples in blocks float32 (channels, n) of at most ``block_samples``.

        Raises:
            InputError: the file turns out to be damaged or cut.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file."""


def in_blocks(blocks: Iterable[Waveform], block_samples: int) -> Iterator[Waveform]:
    """Yield the same samples in blocks of one length, except for the last."""
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
    """Return the error for a file whose end is missing."""
    return InputError(
        f"the file is truncated: {detail}",
        where=path,
        hint=f"copy or download it again; to save what can still be decoded: {salvage_command(path)}",
    )


def damaged_error(path: Path, detail: str) -> InputError:
    """Return the error for a damaged file."""
    return InputError(
        f"the file is damaged: {detail}",
        where=path,
        hint=f"copy or download it again; to save what can still be decoded: {salvage_command(path)}",
    )


def unreadable_error(path: Path, detail: str) -> InputError:
    """Return the error for a file that neither libsndfile nor FFmpeg can decode."""
    return InputError(
        f"this is not audio that can be decoded ({detail})",
        where=path,
        hint="give a WAV, FLAC, Ogg, MP3, M4A or .stem.mp4 file; if it plays elsewhere, convert it to WAV first",
    )


def empty_error(path: Path) -> InputError:
    """Return the error for a file without samples."""
    return InputError("the file contains no samples", where=path, hint="record or export it again")


def salvage_command(path: Path) -> str:
    """Return a command that writes the decodable part to a new file."""
    return shlex.join(["ffmpeg", "-i", path.name, f"{path.stem} salvaged.wav"])
