"""Limits on memory for mechanisms: free bytes, and the refusal of work that does not fit."""

from __future__ import annotations

from dataclasses import dataclass

from my_submission.errors import MdxError

SONG_BYTES = 100_000_000
"""Memory for blocks of a song that are read, blended and written, whatever its length."""

DEVICE_SHARE = 0.7
"""Usable part of the free memory of a GPU; the rest is for contexts, workspaces and other processes."""

_MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class MemoryLimit:
    """Memory of the process.

    Attributes:
        free_bytes: left for the networks at work.
        resident_bytes: resident memory of the process.
    """

    free_bytes: int
    resident_bytes: int

    @classmethod
    def of_process(cls, max_bytes: int, resident_bytes: int) -> MemoryLimit:
        """Return the limit of a process that may use ``max_bytes`` and uses ``resident_bytes``."""
        return cls(max_bytes - resident_bytes - SONG_BYTES, resident_bytes)

    def require(self, what: str, need_bytes: int, *, beside_bytes: int = SONG_BYTES) -> None:
        """Raise if the smallest unit of work does not fit.

        Raises:
            MdxError: it does not fit; the message names a sufficient limit.
        """
        if need_bytes <= self.free_bytes:
            return
        sufficient = (self.resident_bytes + beside_bytes + need_bytes) // _MEBIBYTE + 1
        raise MdxError(
            f"{what} needs about {need_bytes // _MEBIBYTE} MiB, and the process already uses "
            f"{self.resident_bytes // _MEBIBYTE} MiB",
            hint=f"use --max-memory {sufficient} (MiB) or more, or a smaller system",
        )


@dataclass(frozen=True)
class DeviceLimit:
    """Memory of a GPU. Nothing is refused: engines halve batches that do not fit.

    Attributes:
        free_bytes: free memory of the GPU now.
        device: its name, for the notes.
        has_fixed_batches: whether the user has set the batch size.
    """

    free_bytes: int
    device: str
    has_fixed_batches: bool = False

    @property
    def usable_bytes(self) -> int:
        """Bytes to plan with."""
        return int(DEVICE_SHARE * self.free_bytes)

    @property
    def reason(self) -> str:
        """End of a note on batches or segments."""
        return f"to fit the free memory of {self.device}"
