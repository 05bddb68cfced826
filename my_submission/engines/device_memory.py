"""Free and peak memory of a GPU."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from my_submission.engines.devices import Device

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
"""Time between two readings; onnxruntime and torch keep their memory at least until a song's last run."""

PLENTY_SHARE = 0.75
"""Share of a GPU's memory; if more is free, libraries keep their caches. The next stage is planned for less than this
(``predictor.memory.DEVICE_SHARE`` of the memory free at first), so it still fits."""


@dataclass(frozen=True)
class DeviceMemory:
    """Memory of a GPU in bytes, over all processes."""

    free_bytes: int
    total_bytes: int

    @property
    def used_bytes(self) -> int:
        """Memory in use by all processes."""
        return self.total_bytes - self.free_bytes


ReadMemory = Callable[[], DeviceMemory]
"""Reads a GPU's memory."""


def memory_reader(device: Device) -> ReadMemory | None:
    """Return the reader of a GPU's memory; None for the CPU, or if torch, which reads it, cannot use the GPU."""
    if device.kind == "cpu":
        return None
    import torch

    if not torch.cuda.is_available():
        logger.info("the memory of %s is not known, because torch cannot use it", device)
        return None
    return partial(_read, device.index)


def _read(index: int) -> DeviceMemory:
    import torch

    return DeviceMemory(*torch.cuda.mem_get_info(index))


def is_memory_released(device: Device) -> bool:
    """Return whether to release working memory after a last run: on the CPU always, on a GPU if memory is scarce.

    Returning gigabytes to CUDA and allocating them again takes milliseconds, a few times per song.
    """
    if (read := memory_reader(device)) is None:
        return True
    memory = read()
    return memory.free_bytes <= PLENTY_SHARE * memory.total_bytes


def release_cache(device: Device) -> None:
    """Return torch's cached memory to CUDA if the GPU's memory is scarce."""
    if device.kind == "cuda" and is_memory_released(device):
        import torch

        torch.cuda.empty_cache()


class PeakMemoryMeter:
    """Polls a GPU's memory in a with block.

    Args:
        read: reads the memory; None without a GPU, for which nothing is measured.
        interval_seconds: time between two readings.
    """

    def __init__(self, read: ReadMemory | None, *, interval_seconds: float = POLL_SECONDS) -> None:
        self._read = read
        self._interval_seconds = interval_seconds
        self._peak: int | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mdx-device-memory", daemon=True)

    def __enter__(self) -> Self:
        if self._read is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        if self._read is not None:
            self._thread.join()

    @property
    def peak_bytes(self) -> int | None:
        """Maximum memory in use so far, over all processes; None if unknown."""
        return self._peak

    def _watch(self) -> None:
        while self._read is not None:
            try:
                used = self._read().used_bytes
            except RuntimeError as error:  # torch's type for errors of CUDA
                logger.warning("the GPU's memory can no longer be read: %s", error)
                return
            self._peak = max(used, self._peak or 0)
            if self._is_over.wait(self._interval_seconds):
                return
