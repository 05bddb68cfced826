"""Devices by name, their availability, and their errors."""

from __future__ import annotations

import ctypes
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from my_submission.errors import DeviceError, DeviceMemoryError, MdxError, UnknownNameError
from terminal.quantities import counted

logger = logging.getLogger(__name__)

PCI_DEVICES = Path("/sys/bus/pci/devices")
"""Folder in which Linux lists PCI devices, with or without a driver."""

_MEMORY_FAILURES = ("allocate", "out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED", "smaller than requested bytes")
"""Phrases of out-of-memory errors of onnxruntime, torch, CUDA, cuDNN and cuBLAS."""


@dataclass(frozen=True)
class Device:
    """A device that networks run on.

    Attributes:
        kind: "cpu" or "cuda".
        index: which GPU; 0 for the CPU.
        note: what ``auto`` found that the user should know, such as an idle GPU.
    """

    kind: Literal["cpu", "cuda"]
    index: int = 0
    note: str = field(default="", compare=False)

    def __str__(self) -> str:
        return "cpu" if self.kind == "cpu" else f"cuda:{self.index}"


def parse_device(text: str) -> Device | None:
    """Return the device that a user names by "cpu", "cuda" or "cuda:N"; None for "auto".

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
    """Return the device that networks will run on.

    Raises:
        DeviceError: the driver shows no GPU of that number.
    """
    named = parse_device(text)
    if named is not None and named.kind == "cpu":
        return named
    count, reason = cuda_devices()
    if named is None:
        if count:
            return Device("cuda", 0)
        logger.debug("auto: running on the CPU, %s", reason)
        return Device("cpu", note=_idle_card(reason))
    if named.index >= count:
        found = reason or f"{counted(count, 'CUDA device')} found"
        problem = f"the device {named} is not available ({found})"
        raise DeviceError(problem, hint="use --device cpu or --device auto, or install the NVIDIA driver")
    return named


def has_nvidia_card(pci_devices: Path = PCI_DEVICES) -> bool:
    """Return whether there is an NVIDIA card, with a driver or without; False if the system does not list cards."""
    try:
        devices = list(pci_devices.iterdir())
    except OSError:
        return False
    return any(
        _pci_fact(device, "vendor") == "0x10de" and _pci_fact(device, "class")[:4] == "0x03" for device in devices
    )


def _pci_fact(device: Path, name: str) -> str:
    try:
        return (device / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _idle_card(reason: str) -> str:
    """Return a sentence about a GPU that cannot be used; empty if there is none, or if it is hidden on purpose."""
    if _are_gpus_hidden() or not has_nvidia_card():
        return ""
    return f"an NVIDIA GPU is not used: {reason}; install or update the NVIDIA driver to use it"


def _are_gpus_hidden() -> bool:
    return os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}


@lru_cache(maxsize=1)
def cuda_devices() -> tuple[int, str]:
    """Return the number of GPUs that the CUDA driver shows, without torch, and the reason if there are none."""
    if _are_gpus_hidden():
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
    """Return the error for a batch of ``n_items`` that does not fit the device; 0 stands for weights."""
    fewer = "use a smaller --batch-chunks, " if n_items > 1 else ""
    holders = " (nvidia-smi shows which programs use it)" if device.kind == "cuda" else ""
    return DeviceMemoryError(
        f"{device} has too little memory for " + (f"a batch of {n_items}" if n_items else "the weights of a network"),
        hint=f"{fewer}free memory there{holders}, or use another --device",
    )


@contextmanager
def explained(device: Device, n_items: int) -> Iterator[None]:
    """Turn a runtime's out-of-memory error in a with block into a DeviceMemoryError; other errors pass."""
    try:
        yield
    except MdxError:
        raise
    except Exception as error:  # the libraries' types have no common base
        if not any(words in str(error) for words in _MEMORY_FAILURES):
            raise
        is_of_host = isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)  # numpy's, torch's
        raise memory_error(Device("cpu") if is_of_host else device, n_items) from error
