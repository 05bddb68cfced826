"""Random-access stores of samples: in memory, or in an anonymous file on disk.

Both can be read at any position; outside of the waveform there are zeros.
"""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from my_submission.dsp.interleaving import interleaved
from my_submission.errors import OutputError
from my_submission.stems import Waveform

_SAMPLE_BYTES = 4
_PREALLOCATION_UNSUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV}
_DISK_CURES = {
    errno.ENOSPC: "free {need} bytes there, or choose another output folder",
    errno.EDQUOT: "the quota leaves less than {need} bytes; choose another output folder",
    errno.EFBIG: "files of {need} bytes are not allowed there; choose another output folder",
    errno.EROFS: "the file system is read-only; choose another output folder",
    errno.EACCES: "make the folder writable, or choose another output folder",
    errno.EPERM: "make the folder writable, or choose another output folder",
    errno.ENOENT: "make the folder first, or choose another output folder",
    errno.ENOTDIR: "name a folder, not a file, for the output",
}


class SampleStore(Protocol):
    """Samples of one waveform (channels, samples) with random access."""

    @property
    def channels(self) -> int:
        """Channels of the waveform."""

    @property
    def samples(self) -> int:
        """Length of the waveform, in samples."""

    def read(self, start: int, stop: int) -> Waveform:
        """Return a new array float32 (channels, stop − start); zeros outside [0, samples)."""

    def write(self, start: int, block: Waveform) -> None:
        """Write a block (channels, n) at ``start``; it must be inside [0, samples)."""

    def close(self) -> None:
        """Release the samples."""


class ClosingContext:
    """Base of context managers that close themselves at the end of the with block."""

    def close(self) -> None:
        """Release the resources."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MemoryStore(ClosingContext):
    """Samples in memory.

    Args:
        array: initial samples, float (channels, samples); it is never changed, because the first write copies it.
        channels: without an array, number of channels of zeros.
        samples: without an array, number of zeros.
    """

    def __init__(self, array: npt.ArrayLike | None = None, *, channels: int | None = None, samples: int | None = None):
        if (array is None) == (channels is None or samples is None):
            raise ValueError("give a MemoryStore either an array or channels and samples")
        if array is None:
            self._array: Waveform = np.zeros((channels or 0, samples or 0), np.float32)
        else:
            self._array = np.asarray(array, dtype=np.float32)
        if self._array.ndim != 2 or self._array.shape[0] < 1:
            raise ValueError(f"shape {self._array.shape} where (channels, samples) is expected")
        self._is_own = array is None

    @property
    def channels(self) -> int:
        """Channels of the waveform."""
        return int(self._array.shape[0])

    @property
    def samples(self) -> int:
        """Length of the waveform, in samples."""
        return int(self._array.shape[1])

    def read(self, start: int, stop: int) -> Waveform:
        """Return a new array float32 (channels, stop − start); zeros outside [0, samples)."""
        inner_start, inner_stop = _inside(start, stop, self.samples)
        block = self._array[:, inner_start:inner_stop]
        return _padded(block, start, stop, inner_start)

    def write(self, start: int, block: Waveform) -> None:
        """Write a block (channels, n) at ``start``; it must be inside [0, samples)."""
        _check_block(self, start, block)
        if not self._is_own:
            self._array, self._is_own = self._array.copy(), True
        self._array[:, start : start + block.shape[1]] = block

    def resize(self, samples: int) -> None:
        """Extend the waveform with zeros, or shorten it."""
        resized = np.zeros((self.channels, samples), np.float32)
        common = min(samples, self.samples)
        resized[:, :common] = self._array[:, :common]
        self._array, self._is_own = resized, True

    def close(self) -> None:
        """Release the samples."""
        self._array, self._is_own = np.zeros((self.channels, 0), np.float32), True


class DiskStore(ClosingContext):
    """Samples in an anonymous temporary file, which the system removes when the process ends, however it ends.

    The file contains interleaved float32 frames. It is read and written at offsets, not mapped, because mapped pages
    would count as memory of the process. Its space is reserved when it is created, so that a full disk is an error
    before the work begins. Threads may read and write at the same time.

    Args:
        channels: channels of the waveform.
        samples: its initial length.
        directory: folder of the temporary file.

    Raises:
        OutputError: the folder cannot be written or is too small; the message names it and the bytes needed.
    """

    def __init__(self, channels: int, samples: int, *, directory: str | os.PathLike[str]) -> None:
        if channels < 1 or samples < 0:
            raise ValueError(f"a store of {channels} channels and {samples} samples cannot be made")
        self._channels = channels
        self._samples = 0
        self._directory = Path(directory)
        self._lock = threading.Lock()
        try:
            self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115 (held until close)
        except OSError as error:
            raise self._explain(error, samples) from error
        try:
            self.resize(samples)
        except BaseException:
            self.close()
            raise

    @property
    def channels(self) -> int:
        """Channels of the waveform."""
        return self._channels

    @property
    def samples(self) -> int:
        """Length of the waveform, in samples."""
        return self._samples

    def read(self, start: int, stop: int) -> Waveform:
        """Return a new array float32 (channels, stop − start); zeros outside [0, samples)."""
        inner_start, inner_stop = _inside(start, stop, self._samples)
        frames = np.empty((inner_stop - inner_start, self._channels), np.float32)
        self._read_bytes(inner_start * self._frame_bytes, frames.reshape(-1).view(np.uint8).data)
        return _padded(frames.T, start, stop, inner_start)

    def write(self, start: int, block: Waveform) -> None:
        """Write a block (channels, n) at ``start``; it must be inside [0, samples)."""
        _check_block(self, start, block)
        frames = interleaved(block)
        try:
            self._write_bytes(start * self._frame_bytes, frames.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise self._explain(error, self._samples) from error

    def resize(self, samples: int) -> None:
        """Extend the waveform with zeros, or shorten it; new space is reserved on the disk."""
        if samples < 0:
            raise ValueError(f"samples={samples} must not be negative")
        try:
            if samples < self._samples:
                self._file.truncate(samples * self._frame_bytes)
            elif samples > self._samples:
                self._reserve(samples * self._frame_bytes)
        except OSError as error:
            raise self._explain(error, samples) from error
        self._samples = samples

    def close(self) -> None:
        """Release the samples and their disk space."""
        self._file.close()

    @property
    def _frame_bytes(self) -> int:
        return self._channels * _SAMPLE_BYTES

    def _reserve(self, size: int) -> None:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._file.fileno(), 0, size)
                return
            except OSError as error:
                if error.errno not in _PREALLOCATION_UNSUPPORTED:
                    raise
        self._file.truncate(size)

    def _read_bytes(self, offset: int, target: memoryview) -> None:
        done = 0
        while done < len(target):
            part = self._read_once(offset + done, target[done:])
            if not part:
                raise OSError(errno.EIO, f"scratch file in {self._directory} ends early")
            done += part

    def _write_bytes(self, offset: int, data: memoryview) -> None:
        done = 0
        while done < len(data):
            done += self._write_once(offset + done, data[done:])

    def _read_once(self, offset: int, target: memoryview) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [target], offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.readinto(target)

    def _write_once(self, offset: int, data: memoryview) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._file.fileno(), data, offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.write(data)

    def _explain(self, error: OSError, samples: int) -> OutputError:
        need = samples * self._frame_bytes
        hint = _DISK_CURES.get(error.errno or 0, "check the disk, or choose another output folder")
        problem = f"no temporary file of {need} bytes can be written here ({error.strerror or error})"
        return OutputError(problem, where=self._directory, hint=hint.format(need=need))


def new_store(channels: int, samples: int, *, directory: str | os.PathLike[str] | None) -> MemoryStore | DiskStore:
    """Return a store of zeros (channels, samples): on disk in ``directory``, or in memory if it is None."""
    if directory is None:
        return MemoryStore(channels=channels, samples=samples)
    return DiskStore(channels, samples, directory=directory)


def _inside(start: int, stop: int, samples: int) -> tuple[int, int]:
    """Return the intersection of [start, stop) and [0, samples); empty at 0 when there is none."""
    if stop < start:
        raise ValueError(f"stop={stop} is before start={start}")
    inner_start, inner_stop = max(start, 0), min(stop, samples)
    return (inner_start, inner_stop) if inner_start < inner_stop else (max(0, min(start, samples)),) * 2


def _padded(block: Waveform, start: int, stop: int, inner_start: int) -> Waveform:
    """Return a new array of [start, stop) with ``block`` at ``inner_start``."""
    if block.shape[1] == stop - start:
        return np.array(block, np.float32, order="C")
    padded = np.zeros((block.shape[0], stop - start), np.float32)
    if block.shape[1]:
        padded[:, inner_start - start : inner_start - start + block.shape[1]] = block
    return padded


def _check_block(store: SampleStore, start: int, block: Waveform) -> None:
    if block.ndim != 2 or block.shape[0] != store.channels:
        raise ValueError(f"block of shape {block.shape} where ({store.channels}, samples) is expected")
    if start < 0 or start + block.shape[1] > store.samples:
        raise ValueError(f"a block of {block.shape[1]} samples at {start} does not fit into {store.samples} samples")
