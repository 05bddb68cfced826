"""Progress of a separation as a stream of small values; every entry point shows them its own way."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from my_submission.reports import SeparationReport
from my_submission.stems import Waveform

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Planned:
    """The first event of a song.

    Attributes:
        parts: name of every stage, in the order of work, to the seconds that it is expected to take.
        writing_seconds: expected duration of writing the stems afterwards; 0 for a waveform.
    """

    parts: Mapping[str, float]
    writing_seconds: float = 0.0


@dataclass(frozen=True)
class StageStarted:
    """A stage begins.

    Attributes:
        part: its name, for display, such as "networks: vocals" or "demucs".
        samples: samples of the song that it has to cover.
    """

    part: str
    samples: int


@dataclass(frozen=True)
class StageAdvanced:
    """A stage has covered ``done`` of ``samples`` samples of the song."""

    part: str
    done: int
    samples: int


@dataclass(frozen=True)
class StageFinished:
    """A stage is over: complete, or stopped by the deadline.

    Attributes:
        seconds: its duration.
        done: samples of the song that it covered; fewer than ``samples`` if the deadline stopped it.
        branch: name of the system's branch that it belongs to; empty for a filter over all branches.
    """

    part: str
    seconds: float
    done: int
    samples: int
    branch: str = ""


@dataclass(frozen=True)
class BlockWritten:
    """The first ``done`` of ``samples`` samples of all stems are handed to the writer of their files."""

    done: int
    samples: int


@dataclass(frozen=True)
class StretchDone:
    """The next stretch of all stems is final; stretches come in order, end to end, if they were requested.

    Attributes:
        start: its first sample, at the song's rate.
        samples: length of the whole song, at that rate.
        stems: stem to float32 (2, n) at the song's rate; not to be changed.
        sample_rate: the song's rate, in Hz.
    """

    start: int
    samples: int
    stems: Mapping[str, Waveform] = field(repr=False)
    sample_rate: int

    @property
    def stop(self) -> int:
        """The sample after its last one."""
        n_samples: int = next(iter(self.stems.values())).shape[-1]
        return self.start + n_samples


@dataclass(frozen=True)
class Note:
    """A remark for the user that is not an error, such as a fallback."""

    text: str


@dataclass(frozen=True)
class Finished(Generic[T_co]):
    """The last event of a stream.

    Attributes:
        result: the stems of a waveform, or the report of a file.
        report: how the song was separated.
    """

    result: T_co = field(repr=False)
    report: SeparationReport = field(repr=False)


Event: TypeAlias = Planned | StageStarted | StageAdvanced | StageFinished | BlockWritten | StretchDone | Note
"""An event before the end of a stream."""

EventStream: TypeAlias = Generator[Event | Finished[T]]
"""Events of one song; the last one is ``Finished``."""


def last_event(events: Iterable[Event | Finished[T]]) -> Finished[T]:
    """Run a stream to its end and return its last event."""
    finished = None
    for event in events:
        if isinstance(event, Finished):
            finished = event
    if finished is None:
        raise ValueError("the stream of events ended without Finished")
    return finished
