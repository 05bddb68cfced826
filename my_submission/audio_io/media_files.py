"""Decoding by FFmpeg's libraries (PyAV): M4A, MP4, .stem.mp4, WebM, Matroska, WMA and the rest.

Of several audio streams the first is taken: it is the mixture of a MUSDB18 .stem.mp4. Lengths are those that
the ffmpeg command writes for the same file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.audio_io.decoder import AudioInfo, cut_error, unreadable_error
from my_submission.errors import InputError
from my_submission.stems import Waveform

_LENGTH_DECLARED_BY = ("mp4", "matroska", "wv", "tta", "flac", "ape")
"""Containers that state the length; elsewhere FFmpeg guesses it from bit rate and file size."""

_DURATION_SLACK_SECONDS = 0.25
"""Declared lengths are rounded, and count encoder delay that is not played."""


class MediaDecoder:
    """A file that FFmpeg reads.

    Args:
        path: an existing file.

    Raises:
        InputError: it is not media, has no audio stream, or its codec is not known here.
    """

    def __init__(self, path: Path) -> None:
        av = _import_av(path)
        self._errors: type[Exception] = av.FFmpegError
        # A file object, and no protocol allowed: a playlist in disguise must not open other files or addresses.
        self._file = path.open("rb")
        try:
            self._container = av.open(self._file, options={"protocol_whitelist": "none"}, **_text_options(av))
        except self._errors as error:
            self._file.close()
            raise unreadable_error(path, getattr(error, "strerror", None) or str(error)) from error
        try:
            self._stream = _audio_stream(path, self._container)
            self._frames = self._decode(path)
            self._first = next(self._frames, None)
            self._info = self._describe(path)
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> AudioInfo:
        """Facts of the file; its length is known only by decoding."""
        return self._info

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """The samples in blocks float32 (channels, n); damage on the way or a missing end is an InputError."""
        rate, channels = self._info.sample_rate, self._info.channels
        waiting: list[Waveform] = []
        n_waiting = n_decoded = 0
        for frame in self._all_frames():
            if frame.sample_rate != rate or frame.layout.nb_channels != channels:
                raise InputError(
                    f"sample rate or channels change after {n_decoded / rate:.3f} s",
                    where=self._info.path,
                    cure="convert the file to WAV first",
                )
            waiting.append(_to_float(frame))
            n_waiting += frame.samples
            n_decoded += frame.samples
            if n_waiting >= block_samples:
                joined = np.concatenate(waiting, axis=1)
                whole = n_waiting - n_waiting % block_samples
                for start in range(0, whole, block_samples):
                    yield np.ascontiguousarray(joined[:, start : start + block_samples])
                waiting, n_waiting = [joined[:, whole:]], n_waiting - whole
        if n_waiting:
            yield np.concatenate(waiting, axis=1)
        self._check_end(n_decoded / rate)

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        self._file.close()

    def _decode(self, path: Path) -> Iterator[Any]:
        decoded_seconds = 0.0
        try:
            for frame in self._container.decode(self._stream):
                yield frame
                decoded_seconds += frame.samples / frame.sample_rate
        except self._errors as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise cut_error(path, f"its audio breaks after {decoded_seconds:.3f} s ({reason})") from error

    def _all_frames(self) -> Iterator[Any]:
        if self._first is not None:
            yield self._first
            self._first = None
        yield from self._frames

    def _describe(self, path: Path) -> AudioInfo:
        context = self._stream.codec_context
        if self._first is None and not context.sample_rate:
            raise unreadable_error(path, "nothing in it can be decoded")
        source = context if self._first is None else self._first
        return AudioInfo(
            path=path,
            sample_rate=source.sample_rate,
            channels=source.layout.nb_channels,
            samples=0 if self._first is None else None,
            container=self._container.format.name,
            codec=context.name,
            declared_seconds=_declared_seconds(self._container, self._stream),
        )

    def _check_end(self, decoded_seconds: float) -> None:
        declared = _declared_seconds(self._container, self._stream)
        if declared is not None and decoded_seconds < declared - _DURATION_SLACK_SECONDS:
            raise cut_error(self._info.path, f"its audio ends after {decoded_seconds:.3f} s of {declared:.3f} s")


def _import_av(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise InputError(
            "libsndfile does not read this format and PyAV, which might, is not installed",
            where=path,
            cure="pip install av, or convert the file to WAV first",
        ) from error
    return av


def _text_options(av: Any) -> dict[str, str]:
    """What makes ``av.open`` keep metadata that is no UTF-8; PyAV 19 does so by itself and knows no such option."""
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def _audio_stream(path: Path, container: Any) -> Any:
    if not container.streams.audio:
        raise InputError(
            "there is no audio stream in this file", where=path, cure="give a file with sound, such as WAV or M4A"
        )
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise InputError(
            "the codec of its audio stream is not known to the FFmpeg libraries here (or the file is protected)",
            where=path,
            cure="convert it to WAV or FLAC with the program that made it",
        )
    return stream


def _declared_seconds(container: Any, stream: Any) -> float | None:
    """The length of the audio stream as the file states it, or None where that would be a guess."""
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
    """A decoded frame as float32 (channels, n); integers are scaled by their full scale, as libsndfile does."""
    samples: npt.NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return ((samples.astype(np.float32) - 128) / 128).astype(np.float32)
    if np.issubdtype(samples.dtype, np.integer):
        full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
        return (samples / full_scale).astype(np.float32)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(samples, dtype=np.float32)
