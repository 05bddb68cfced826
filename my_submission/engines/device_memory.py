"""The memory of a GPU: what is free now, and the most that was in use while something ran."""

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

LOOK_SECONDS = 0.1
"""Between two looks at what is in use: onnxruntime and torch keep what they took until a song's last run, at least."""

PLENTY_SHARE = 0.75
"""Of a GPU's memory: where more is free, what libraries keep for later runs is left to them. The next part is planned
for less than this (``predictor.memory.DEVICE_SHARE`` of what was free at first), so it still fits."""


@dataclass(frozen=True)
class DeviceMemory:
    """Memory of a GPU in bytes, whoever uses it."""

    free_bytes: int
    total_bytes: int

    @property
    def used_bytes(self) -> int:
        """What is in use, by this process and others."""
        return self.total_bytes - self.free_bytes


ReadMemory = Callable[[], DeviceMemory]
"""Looks at a GPU's memory."""


def memory_reader(device: Device) -> ReadMemory | None:
    """What looks at a device's memory; None for the CPU, and where torch, which is asked, cannot use the GPU."""
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


def gives_back(device: Device) -> bool:
    """Whether working memory is to be given back after a last run: always on the CPU, on a GPU where it is scarce.

    Giving gigabytes back to CUDA and asking for them again takes milliseconds, a few times a song.
    """
    if (read := memory_reader(device)) is None:
        return True
    memory = read()
    return memory.free_bytes <= PLENTY_SHARE * memory.total_bytes


def give_back_cache(device: Device) -> None:
    """After a last run, give what torch keeps for later ones back to CUDA, where a GPU's memory is scarce."""
    if device.kind == "cuda" and gives_back(device):
        import torch

        torch.cuda.empty_cache()


class PeakMemoryMeter:
    """Looks at a GPU's memory again and again inside a with block.

    Args:
        read: looks once; None where there is no GPU, and nothing is done.
        interval_seconds: between two looks.
    """

    def __init__(self, read: ReadMemory | None, *, interval_seconds: float = LOOK_SECONDS) -> None:
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
        """The most memory in use so far, other processes' included; None where it is not known."""
        return self._peak

    def _watch(self) -> None:
        while self._read is not None:
            try:
                used = self._read().used_bytes
            except RuntimeError as error:  # torch's for whatever CUDA reports
                logger.warning("the GPU's memory can no longer be read: %s", error)
                return
            self._peak = max(used, self._peak or 0)
            if self._is_over.wait(self._interval_seconds):
                return
