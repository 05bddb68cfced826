"""Tracks of a song for the studio: samples at any position, and peaks to draw, while they still grow."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

import numpy as np

from my_submission.audio_io import DiskStore, Mixture, read_span, store_to_wav
from my_submission.dsp.envelope import BinnedEnvelope, Envelope
from my_submission.errors import InputError
from my_submission.files.folders import output_error
from my_submission.stems import Waveform

PEAK_SAMPLES = 256
"""Samples in one pair of peaks; a screen of 4 000 pixels shows 23 s at 44.1 kHz with one pair per pixel."""

PEAK_FULL_SCALE = 16_384
"""The int16 that stands for 1.0, so that samples up to 2.0 fit."""

PAIR_BYTES = 4


class Peaks:
    """Lowest and highest sample of every bin, in a file that grows.

    Args:
        path: the new file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._envelope = BinnedEnvelope(PEAK_SAMPLES)
        self.clipped_samples = 0

    def push(self, block: Waveform) -> None:
        """Add the next block float32 (2, n); OutputError if the disk is full."""
        if not block.size:
            return
        bins = self._envelope.push(block)
        if max(float(block.max()), -float(block.min())) > 1:
            self.clipped_samples += int(np.count_nonzero(np.abs(block) > 1))
        self._append(bins)

    def finish(self) -> None:
        """Add the last, shorter bin; OutputError if the disk is full."""
        self._append(self._envelope.finish())

    def read(self, first_bin: int) -> bytes:
        """Return the pairs from a bin on, little-endian int16 each; empty beyond the end."""
        try:
            with self._path.open("rb") as file:
                file.seek(PAIR_BYTES * first_bin)
                content = file.read()
        except FileNotFoundError:
            return b""
        return content[: len(content) - len(content) % PAIR_BYTES]

    def _append(self, bins: Envelope) -> None:
        try:
            with self._path.open("ab") as file:
                file.write(bins.as_pairs(PEAK_FULL_SCALE).tobytes())
        except OSError as error:
            raise output_error(error, self._path.parent) from error


class Track(Protocol):
    """Samples and peaks of one track.

    Attributes:
        peaks: the peaks so far.
    """

    peaks: Peaks

    @property
    def ready_samples(self) -> int:
        """Samples that can be read."""

    def read(self, start: int, stop: int) -> Waveform:
        """Return samples [start, stop), float32 (2, stop − start), which must be ready."""


class FileTrack:
    """A track in a complete WAV.

    Args:
        path: the WAV.
        samples: its length.
        peaks: complete peaks.
    """

    def __init__(self, path: Path, samples: int, peaks: Peaks) -> None:
        self.path, self.ready_samples, self.peaks = path, samples, peaks

    def read(self, start: int, stop: int) -> Waveform:
        """Return samples [start, stop); InputError if the file is gone."""
        return read_span(self.path, start, stop)


class MixtureTrack:
    """The decoded song; it is in an anonymous file, and a WAV of it is written when something needs one.

    Args:
        mixture: the song, with its original samples.
        path: path of the WAV.
        peaks: complete peaks.
    """

    def __init__(self, mixture: Mixture, path: Path, peaks: Peaks) -> None:
        self.mixture, self.peaks = mixture, peaks
        self._original = mixture.store if mixture.original is None else mixture.original
        self._path = path
        self._lock = threading.Lock()

    @property
    def ready_samples(self) -> int:
        """Length of the song, at its own rate."""
        return self.mixture.source_samples

    @property
    def path(self) -> Path:
        """A WAV of the song, 32-bit float; OutputError if the disk is full."""
        with self._lock:
            if not self._path.exists():
                store_to_wav(self._original, self._path, self.mixture.source_rate)
        return self._path

    def read(self, start: int, stop: int) -> Waveform:
        """Return samples [start, stop) at the song's own rate."""
        return self._original.read(start, stop)

    def close(self) -> None:
        """Free the anonymous file."""
        self.mixture.close()


class GrowingTrack:
    """A stem that is being made: its samples are in an anonymous file until the stem is complete.

    Args:
        name: name of the stem.
        samples: length of the whole song.
        folder: folder of the files.

    Raises:
        OutputError: the folder has too little space.
    """

    def __init__(self, name: str, samples: int, folder: Path) -> None:
        self.peaks = Peaks(folder / f"{name}.peaks")
        self.ready_samples = 0
        self._store = DiskStore(2, samples, directory=folder)
        self._lock = threading.Lock()
        self._file: FileTrack | None = None

    def append(self, block: Waveform) -> None:
        """Add the next block float32 (2, n); OutputError if the disk is full."""
        self._store.write(self.ready_samples, block)
        self.peaks.push(block)
        self.ready_samples += block.shape[1]

    def read(self, start: int, stop: int) -> Waveform:
        """Return samples [start, stop); InputError if the track was discarded."""
        with self._lock:  # a store that is closed in the meantime would read from another file
            if self._file is None:
                return self._read_store(start, stop)
        return self._file.read(start, stop)

    def move_to(self, path: Path) -> None:
        """Read from a WAV with the same samples from now on, and free the anonymous file."""
        self.peaks.finish()
        with self._lock:
            self._file = FileTrack(path, self.ready_samples, self.peaks)
            self._store.close()

    def close(self) -> None:
        """Free the anonymous file."""
        with self._lock:
            self._store.close()

    def _read_store(self, start: int, stop: int) -> Waveform:
        try:
            return self._store.read(start, stop)
        except (OSError, ValueError) as error:
            raise InputError("this track was deleted", hint="load the page again") from error
