"""Progress as a stream of small values; each door shows them its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Planned:
    """The first event: what there is to do.

    Attributes:
        parts: name of every part, in the order of work, to the seconds it is expected to take.
    """

    parts: Mapping[str, float]


@dataclass(frozen=True)
class StageStarted:
    """A part of the plan begins.

    Attributes:
        part: its name, such as "vocals network", "mixer", "demucs".
        samples: how many samples of the song it will go through.
    """

    part: str
    samples: int


@dataclass(frozen=True)
class StageAdvanced:
    """A part has finished the song up to ``done`` of ``samples``."""

    part: str
    done: int
    samples: int


@dataclass(frozen=True)
class StageFinished:
    """A part is over, complete or stopped by the deadline.

    Attributes:
        seconds: how long it took.
        done: samples of the song it covered; less than ``samples`` when the deadline stopped it.
    """

    part: str
    seconds: float
    done: int
    samples: int

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out."""
        return self.done >= self.samples


@dataclass(frozen=True)
class Estimated:
    """How much of the song the system has estimated; the rest of every stem is a share of the mixture.

    Attributes:
        shares: stem to the share of the song that an estimate covers, 0 … 1.
    """

    shares: Mapping[str, float]


@dataclass(frozen=True)
class Note:
    """Something a user should know that is not an error, such as a fallback or a cut-off."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The last event of a stream.

    Attributes:
        result: what the caller asked for.
        late_by_seconds: how long after the deadline; 0 in time, and where there is none.
    """

    result: Any = field(repr=False)
    late_by_seconds: float = 0.0


Event = Planned | StageStarted | StageAdvanced | StageFinished | Estimated | Note | Finished
