"""Systems whose batches and segments fit a memory limit; a limit that is too small is refused."""

from __future__ import annotations

import psutil

from my_submission.mechanisms import DeviceLimit, MemoryLimit
from my_submission.mechanisms.memory_limits import SONG_BYTES
from my_submission.systems import LoadedSystem


def within_memory(
    system: LoadedSystem, max_memory_bytes: int, *, resident_bytes: int | None = None, is_on_gpu: bool = False
) -> tuple[LoadedSystem, tuple[str, ...]]:
    """Return the system with batches and segments that keep its work below a limit.

    Args:
        system: opened, so its weights count as resident already.
        max_memory_bytes: limit of the whole process.
        resident_bytes: memory of the process now; by default, the operating system is asked.
        is_on_gpu: whether networks use a GPU's memory, so that the process only holds the song's blocks.

    Returns:
        The system, and its differences from the published method, one sentence each.

    Raises:
        MdxError: not even the smallest unit of work fits.
    """
    resident = psutil.Process().memory_info().rss if resident_bytes is None else resident_bytes
    if is_on_gpu:
        MemoryLimit(max_memory_bytes - resident, resident).require("a song", SONG_BYTES, beside_bytes=0)
        return system, ()
    limit = MemoryLimit.of_process(max_memory_bytes, resident)
    return system.fitted(lambda mechanism: mechanism.within_memory(limit))


def within_device(
    system: LoadedSystem, free_bytes: int, *, device: str, has_fixed_batches: bool = False
) -> tuple[LoadedSystem, tuple[str, ...]]:
    """Return the system with batches and segments that probably fit the free memory of a GPU.

    The estimates of memory come from measurements on CPUs and from tensor shapes, not from a GPU. Therefore nothing is
    refused here, and engines halve the batches that do not fit.

    Args:
        system: opened, so its weights are on the GPU already.
        free_bytes: free memory of the GPU now.
        device: its name, for the notes.
        has_fixed_batches: whether the user has set the batch size.

    Returns:
        The system, and its differences from one without the limit, one sentence each.
    """
    limit = DeviceLimit(free_bytes, device, has_fixed_batches)
    return system.fitted(lambda mechanism: mechanism.within_device(limit))
