"""Devices by name, and what is really there behind the name."""

from __future__ import annotations

import ctypes
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from my_submission.errors import DeviceError, DeviceMemoryError, MdxError, UnknownNameError

logger = logging.getLogger(__name__)

_MEMORY_FAILURES = ("allocate", "out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED", "smaller than requested bytes")
"""How onnxruntime, torch, CUDA, cuDNN and cuBLAS say that there is no memory."""


@dataclass(frozen=True)
class Device:
    """A device that work runs on.

    Attributes:
        kind: "cpu" or "cuda".
        index: which GPU; 0 for the CPU.
        note: why ``auto`` chose this one, empty when the user named it.
    """

    kind: Literal["cpu", "cuda"]
    index: int = 0
    note: str = field(default="", compare=False)

    def __str__(self) -> str:
        return "cpu" if self.kind == "cpu" else f"cuda:{self.index}"


def parse_device(text: str) -> Device | None:
    """The device a user names: ``None`` for "auto", else "cpu", "cuda" or "cuda:N".

    Raises:
        UnknownNameError: anything else.
    """
    if text == "auto":
        return None
    if text == "cpu":
        return Device("cpu")
    match = re.fullmatch(r"cuda(?::(\d+))?", text)
    if match is None:
        raise UnknownNameError(f"there is no device {text!r}", hint="use auto, cpu, cuda or cuda:N")
    return Device("cuda", int(match.group(1) or 0))


def resolve_device(text: str) -> Device:
    """The device that work will run on.

    Raises:
        DeviceError: a GPU was asked for by name and the driver shows none of that number.
    """
    asked = parse_device(text)
    if asked is not None and asked.kind == "cpu":
        return asked
    count, reason = cuda_devices()
    if asked is None:
        if count:
            return Device("cuda", 0, note=f"auto: {count} CUDA device(s) found")
        logger.info("auto: running on the CPU, %s", reason)
        return Device("cpu", note=f"auto: {reason}")
    if asked.index >= count:
        problem = f"the device {asked} is not there ({reason or f'{count} CUDA device(s) found'})"
        raise DeviceError(problem, hint="use --device cpu or --device auto, or install the NVIDIA driver")
    return asked


@lru_cache(maxsize=1)
def cuda_devices() -> tuple[int, str]:
    """How many GPUs the CUDA driver shows, and why none when it is none; asks the driver, not torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}:
        return 0, "CUDA_VISIBLE_DEVICES hides every GPU"
    library = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return 0, f"there is no NVIDIA driver ({library} cannot be loaded)"
    status = driver.cuInit(0)
    if status:
        return 0, f"the NVIDIA driver refuses to start (cuInit returned {status})"
    count = ctypes.c_int()
    status = driver.cuDeviceGetCount(ctypes.byref(count))
    if status or not count.value:
        return 0, f"the NVIDIA driver shows no GPU (cuDeviceGetCount returned {status})"
    return count.value, ""


def memory_error(device: Device, n_items: int) -> DeviceMemoryError:
    """What to say when a batch does not fit the device; where it is of no items, weights do not."""
    fewer = "use a smaller --batch-chunks, " if n_items > 1 else ""
    holders = " (nvidia-smi shows what holds it)" if device.kind == "cuda" else ""
    return DeviceMemoryError(
        f"{device} has too little memory for " + (f"a batch of {n_items}" if n_items else "the weights of a network"),
        hint=f"{fewer}free memory there{holders}, or use another --device",
    )


@contextmanager
def explained(device: Device, n_items: int) -> Iterator[None]:
    """Turn a runtime's failure to find memory for a batch into ours; any other failure stays what it is."""
    try:
        yield
    except MdxError:
        raise
    except Exception as error:  # every library raises a type of its own, without a common base
        if not any(words in str(error) for words in _MEMORY_FAILURES):
            raise
        is_of_host = isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)  # numpy's words, torch's
        raise memory_error(Device("cpu") if is_of_host else device, n_items) from error
