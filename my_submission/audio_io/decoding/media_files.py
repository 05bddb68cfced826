"""Decoding by FFmpeg's libraries (PyAV): M4A, MP4, .stem.mp4, WebM, Matroska, WMA and others.

Files are decoded to their end, whatever length they state. The decoded length is that of the ffmpeg command of the same
version, less the padding of the last frame if an MP4 states it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.audio_io.decoding.decoder import (
    AudioInfo,
    Decoder,
    ReadOptions,
    cut_error,
    damaged_error,
    in_blocks,
    salvage_command,
    unreadable_error,
)
from my_submission.audio_io.decoding.downmix import Downmix
from my_submission.audio_io.decoding.file_facts import FileFacts
from my_submission.audio_io.decoding.file_part import FilePart
from my_submission.audio_io.decoding.media_containers import import_av, open_container
from my_submission.audio_io.decoding.tracks import choose_track
from my_submission.errors import InputError
from my_submission.stems import Waveform

MEDIA_ERRORS = (OSError, ValueError, OverflowError, NotImplementedError, MemoryError)
"""Errors of PyAV on damaged files, besides its own ``FFmpegError``."""

_EXACT_LENGTHS = {"wv", "tta", "flac", "ape", "tak"}
"""Containers that state the exact length in samples."""

_LENGTH_DECLARED_BY = ("mp4", "matroska", *_EXACT_LENGTHS)
"""Containers that state the length; elsewhere FFmpeg guesses it from bit rate and file size."""

_DURATION_SLACK_SECONDS = 0.25
"""Tolerance on stated lengths, which are rounded and include encoder delay."""

_SELF_SYNCHRONISING = {"mp3", "aac"}
"""Streams of frames without a container; other data between frames, such as tags of a joined file, are skipped."""

_MAX_LOST_SECONDS, _MAX_LOST_SHARE = 0.25, 0.01
"""Limits on the undecodable part of such a stream; the larger one applies."""


class MediaDecoder(Decoder):
    """Decoder that uses FFmpeg.

    Args:
        part: an existing file, or part of one.
        facts: facts of its structure.
        options: track and downmix.

    Raises:
        InputError: it is not media, has no audio stream, or an unknown codec.
    """

    def __init__(self, part: FilePart, facts: FileFacts, options: ReadOptions) -> None:
        self._path, self._facts, self._notes = part.path, facts, list(facts.notes)
        av = import_av(part.path)
        self._errors = (av.FFmpegError, *MEDIA_ERRORS)
        self._lost_seconds, self._n_lost, self._first_lost = 0.0, 0, 0.0
        self._n_padding = 0
        self._file = part.open()
        try:
            self._container = open_container(av, self._file, _length_settings(facts))
        except self._errors as error:
            self._file.close()
            raise unreadable_error(part.path, _reason(error)) from error
        try:
            self._stream, note = choose_track(part.path, self._container, options)
            self._notes += [] if note is None else [note]
            self._frames = self._decode()
            self._first = next(self._frames, None)
            self._downmix = self._new_downmix() if options.downmix else None
            self.info = self._describe()
        except BaseException:
            self.close()
            raise

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """Yield the samples in blocks float32 (channels, n); InputError if the file is damaged or cut."""
        return in_blocks(self._waveforms(), block_samples)

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        self._file.close()

    def _waveforms(self) -> Iterator[Waveform]:
        n_decoded = 0
        for frame in self._all_frames():
            self._check_frame(frame, n_decoded)
            samples = self._samples(frame, n_decoded)[:, : frame.samples - self._n_padding]
            yield samples
            n_decoded += samples.shape[1]
        self._check_end(n_decoded / self.info.sample_rate)

    def _decode(self) -> Iterator[Any]:
        seconds = 0.0
        for packet in self._packets():
            try:
                frames = packet.decode()
            except self._errors as error:
                if self._container.format.name not in _SELF_SYNCHRONISING:
                    raise self._broken(seconds, error) from error
                self._lose(packet, seconds)
                continue
            for frame in frames:
                if frame.samples:
                    self._note_padding(packet, frame)
                    yield frame
                    seconds += frame.samples / max(1, frame.sample_rate)

    def _note_padding(self, packet: Any, frame: Any) -> None:
        """Note how many samples at the end of a frame are the encoder's padding.

        The table of durations of an MP4 states it for the last frame, which FFmpeg returns whole.
        """
        is_exact = "mp4" in self._container.format.name and packet.time_base == Fraction(1, frame.sample_rate)
        surplus = frame.samples - packet.duration if is_exact and packet.duration else 0
        self._n_padding = max(0, surplus)

    def _packets(self) -> Iterator[Any]:
        packets, seconds = self._container.demux(self._stream), 0.0
        while True:
            try:
                packet = next(packets, None)
            except self._errors as error:
                raise self._broken(seconds, error) from error
            if packet is None:
                return
            if packet.pts is not None:
                seconds = float(packet.pts * packet.time_base)
            yield packet

    def _lose(self, packet: Any, seconds: float) -> None:
        self._first_lost = self._first_lost if self._n_lost else seconds
        self._n_lost += 1
        self._lost_seconds += float((packet.duration or 0) * packet.time_base)

    def _broken(self, seconds: float, error: BaseException) -> InputError:
        return cut_error(self._path, f"its audio breaks after {seconds:.3f} s ({_reason(error)})")

    def _all_frames(self) -> Iterator[Any]:
        if self._first is not None:
            yield self._first
            self._first = None
        yield from self._frames

    def _check_frame(self, frame: Any, n_decoded: int) -> None:
        rate = self.info.sample_rate
        if frame.sample_rate != rate or frame.layout.nb_channels != self._source_channels:
            raise InputError(
                f"sample rate or channels change after {n_decoded / rate:.3f} s",
                where=self._path,
                hint="convert the file to WAV first",
            )

    def _samples(self, frame: Any, n_decoded: int) -> Waveform:
        try:
            samples = _to_float(frame)
        except self._errors as error:
            raise self._broken(n_decoded / self.info.sample_rate, error) from error
        return samples if self._downmix is None else self._downmix(samples)

    def _new_downmix(self) -> Downmix | None:
        if self._first is None or self._first.layout.nb_channels <= 2:
            return None
        try:
            downmix = Downmix([channel.name for channel in self._first.layout.channels])
        except ValueError as error:
            raise InputError(str(error), where=self._path, hint="mix it down in an audio editor") from error
        self._notes.append(downmix.note)
        return downmix

    def _describe(self) -> AudioInfo:
        context = self._stream.codec_context
        if self._first is None and not context.sample_rate:
            raise unreadable_error(self._path, "nothing in it can be decoded")
        source = context if self._first is None else self._first
        self._source_channels = source.layout.nb_channels
        return AudioInfo(
            path=self._path,
            sample_rate=source.sample_rate,
            channels=self._source_channels if self._downmix is None else 2,
            samples=0 if self._first is None else None,
            container=self._container.format.name,
            codec=context.name,
            declared_seconds=self._declared_seconds(),
        )

    def _declared_seconds(self) -> float | None:
        return self._facts.declared_seconds or declared_seconds(self._container, self._stream)

    def _check_end(self, seconds: float) -> None:
        """Compare the decoded length with the stated one, and note frames that could not be decoded."""
        declared = self._declared_seconds()
        is_exact = self._container.format.name in _EXACT_LENGTHS
        slack = 1 / self.info.sample_rate if is_exact else _DURATION_SLACK_SECONDS
        if declared is not None and seconds < declared - slack:
            raise cut_error(self._path, f"its audio ends after {seconds:.3f} s of {declared:.3f} s")
        if self._n_lost:
            lost = f"{self._n_lost} frames of its audio cannot be decoded, {self._lost_seconds:.3f} s in all"
            lost += f", the first after {self._first_lost:.3f} s"
            if self._lost_seconds > max(_MAX_LOST_SECONDS, _MAX_LOST_SHARE * seconds):
                raise damaged_error(self._path, lost)
            self._notes.append(lost)
        span = self._facts.span
        if span is not None and span.surplus:
            self._notes.append(_surplus_note(self._container.format.name, span.surplus, self._path))


def _surplus_note(container: str, surplus: int, path: Path) -> str:
    if container == "wav":
        return f"its header states less audio than the file has; {surplus} more bytes were read"
    return (
        f"its header states less audio than the file has; {surplus} more bytes were not read. To read them: "
        f"{salvage_command(path)}"
    )


def _length_settings(facts: FileFacts) -> dict[str, str]:
    """Return options with which FFmpeg reads a WAV to the end of the file if its header states less."""
    return {"ignore_length": "1"} if facts.span is not None and facts.span.surplus else {}


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def declared_seconds(container: Any, stream: Any) -> float | None:
    """Return the length of the audio stream as the file states it, or None if it would be an estimate."""
    if not any(name in container.format.name for name in _LENGTH_DECLARED_BY):
        return None
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    if len(container.streams) == 1 and container.duration:
        return float(container.duration) / 1e6
    return None


def _to_float(frame: Any) -> Waveform:
    """Return a decoded frame as float32 (channels, n); integers are scaled by full scale, as libsndfile does."""
    samples = _to_array(frame)
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return ((samples.astype(np.float32) - 128) / 128).astype(np.float32)
    if np.issubdtype(samples.dtype, np.integer):
        full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
        return (samples / full_scale).astype(np.float32)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(samples, dtype=np.float32)


def _to_array(frame: Any) -> npt.NDArray[Any]:
    if frame.format.name not in {"s64", "s64p"}:
        return np.asarray(frame.to_ndarray())
    n_values = frame.samples * (1 if frame.format.is_planar else frame.layout.nb_channels)  # PyAV has no such arrays
    return np.stack([np.frombuffer(plane, np.int64, n_values) for plane in frame.planes])
