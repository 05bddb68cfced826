"""The song that is sent to a worker, and the outcome that comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["done", "reused", "failed"]


@dataclass(frozen=True)
class CatalogueSong:
    """One song of a catalogue.

    Attributes:
        name: folder of its stems below the output, with "/" if the catalogue has folders of its own.
        url: URL of its mixture.
    """

    name: str
    url: str


@dataclass(frozen=True)
class SongOutcome:
    """The outcome of one song.

    Attributes:
        song: the song.
        status: "done" by this run, "reused" from an earlier one with the same content, system and options, or "failed".
        record: the record of its stems, as plain values; None after a failure.
        error: why it failed.
        is_final: whether another attempt cannot help, as with a broken file.
        seconds: duration of this attempt in its worker, fetching and publishing included.
        peak_memory_bytes: largest resident memory of that worker so far.
        node: name of the machine.
        attempts: how often it was begun in this run.
        worker: number of the worker, or None if none was needed.
    """

    song: CatalogueSong
    status: Status
    record: dict[str, Any] | None = None
    error: str | None = None
    is_final: bool = False
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    node: str = ""
    attempts: int = 0
    worker: int | None = None

    @property
    def retry_reason(self) -> str | None:
        """The reason to try again; None if another attempt cannot help."""
        return self.error if self.status == "failed" and not self.is_final else None

    @property
    def is_separated(self) -> bool:
        """Whether its stems, if there are any, are more than mere shares of the mixture; True if unknown."""
        return self.record is None or bool(self.record["report"].get("separated", True))

    @property
    def input_notes(self) -> list[str]:
        """Notes on how the song was read; records of older versions have none."""
        return [] if self.record is None else list(self.record["report"].get("input_notes", []))

    @property
    def music_seconds(self) -> float:
        """Length of the song; 0 if it is not known."""
        if self.record is None:
            return 0.0
        report = self.record["report"]
        return float(report["source_samples"] / report["source_rate"])
