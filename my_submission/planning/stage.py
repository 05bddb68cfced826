"""A stage: one part of the work on a song, done in work items of any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from my_submission.planning.cost_model import Forecast

Benefit = Callable[[int, int], float]
"""Value of estimating the samples [start, stop); only the order of two values matters."""


@dataclass(frozen=True)
class WorkItem:
    """One run of an engine, anywhere in the song, whose result goes into an estimate buffer.

    Attributes:
        stage: the stage that it belongs to.
        audio_seconds: audio that goes through the network.
        compute: does the work and changes nothing, so its result may be thrown away.
        commit: puts the result of ``compute`` in its place.
        first_sample: the first sample of the song that ``commit`` may change; None if it changes no stem.
        drop: called instead of ``commit`` for a result that came too late; returns the work to the stage.
    """

    stage: Stage
    audio_seconds: float
    compute: Callable[[], Any]
    commit: Callable[[Any], None]
    first_sample: int | None
    drop: Callable[[], None] = lambda: None


class Stage(ABC):
    """All work items of one network, or of one filter, for one song.

    Attributes:
        is_as_published: whether the work so far is the published one, at its overlap and segment length.

    Args:
        name: shown in events, plans and reports; it affects no decision.
        cost_key: key of its cost in the cost model.
        runs_on: library and device.
        total_samples: samples of the song that it has to cover.
    """

    is_as_published: bool = True

    def __init__(self, name: str, cost_key: str, runs_on: str, total_samples: int) -> None:
        self.name = name
        self.cost_key = cost_key
        self.runs_on = runs_on
        self.total_samples = total_samples

    @property
    @abstractmethod
    def covered_samples(self) -> int:
        """Samples of the song that are done."""

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """Whether no work is left."""

    @property
    def deviation(self) -> str:
        """How the deadline changed the published method, as the predicate of "the deadline …", if it did."""
        return ""

    @property
    def final_samples(self) -> int | None:
        """Number of samples from the song's start that are final; None if work does not go from start to end."""
        return None

    @property
    def input_stop(self) -> int:
        """First sample of the song that the next work item does not read, if work goes from start to end."""
        return self.total_samples

    @property
    def is_covered(self) -> bool:
        """Whether the whole song is done."""
        return self.covered_samples >= self.total_samples

    @abstractmethod
    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Return the seconds of audio that have yet to go through the network."""

    @abstractmethod
    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """Return the work item to do now and count it as begun; None if no item would end in time.

        Args:
            forecast: predicts whether work would end in time.
            after: samples of the song before this one must not change.
        """

    def planned_deviation(self, share: float, forecast: Forecast) -> str:
        """Return the planned deviation from the published method, for display; empty if there is none.

        Args:
            share: part of the stage that will probably end in time, 0 … 1.
            forecast: predicts whether work would end in time.
        """
        if share == 1:
            return ""
        return f"{self.name} for {share:.0%} of the song" if share else f"no {self.name}"


class ClosingStage(Stage):
    """A stage over the blended estimates of all others; its time is reserved while refinements run."""

    @abstractmethod
    def probe(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """Return a short run that measures an unknown cost and changes no stem; None if it is known or would be late.

        Args:
            forecast: predicts whether work would end in time.
            after: samples of the song before this one must not change.
        """

    @abstractmethod
    def seconds_to_reserve(self, forecast: Forecast, *, after: int = 0) -> float:
        """Return the pessimistic duration of the work left from ``after`` on, in seconds."""


def probe_item(stage: Stage, audio_seconds: float, probe: Callable[[], Any], forecast: Forecast) -> WorkItem | None:
    """Return a small share of a work item that measures the stage's cost; None if even that would be late."""
    if not forecast.allows(stage.cost_key, audio_seconds):
        return None
    return WorkItem(stage, audio_seconds, probe, lambda _: None, first_sample=None)
