"""Estimates the progress and remaining time of a separation from its events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from my_submission.events import Event, Note, Planned, StageAdvanced, StageFinished, StageStarted
from my_submission.geometry import SAMPLE_RATE


@dataclass(frozen=True)
class Progress:
    """Progress of a separation.

    Attributes:
        stage: the current activity, shown on the page.
        share: share of the work done, 0 … 1.
        left_seconds: estimated remaining time; None before the first chunk is done.
        part: the current stage of the system.
        part_seconds: seconds of audio that this stage has processed.
        song_seconds: seconds of audio that it processes in total.
        n_chunks: chunks done, over all stages.
    """

    stage: str
    share: float = 0.0
    left_seconds: float | None = None
    part: str = ""
    part_seconds: float = 0.0
    song_seconds: float = 0.0
    n_chunks: int = 0
    notes: tuple[str, ...] = ()


@dataclass
class ProgressMeter:
    """Converts events to progress.

    The remaining time is the planned time of the remaining work, scaled by actual over planned time so far.

    Attributes:
        budget_seconds: time limit from the first event on.
    """

    clock: Callable[[], float]
    budget_seconds: float | None = None
    progress: Progress = Progress("Separating")
    _expected: dict[str, float] = field(default_factory=dict)
    _done: dict[str, float] = field(default_factory=dict)
    _began: float | None = None

    def take(self, event: Event) -> Progress:
        """Return the progress after an event."""
        now = self.clock()
        if self._began is None:
            self._began = now
        if isinstance(event, Planned):
            self._expected = dict(event.parts)
        elif isinstance(event, StageStarted):
            self._expected.setdefault(event.part, max(self._expected.values(), default=1.0))
            song_seconds = event.samples / SAMPLE_RATE
            self.progress = replace(self.progress, part=event.part, part_seconds=0.0, song_seconds=song_seconds)
        elif isinstance(event, StageAdvanced):
            self._done[event.part] = event.done / max(1, event.samples)
            n_chunks, done = self.progress.n_chunks + 1, event.done / SAMPLE_RATE
            self.progress = replace(self.progress, part_seconds=done, n_chunks=n_chunks)
        elif isinstance(event, StageFinished):
            self._done[event.part] = 1.0
        elif isinstance(event, Note):
            self.progress = replace(self.progress, notes=(*self.progress.notes, event.text))
        self.progress = replace(self.progress, share=self._share(), left_seconds=self._left(now - self._began))
        return self.progress

    def _share(self) -> float:
        whole = sum(self._expected.values())
        return min(1.0, self._expected_of_done() / whole) if whole else 0.0

    def _left(self, elapsed: float) -> float | None:
        done = self._expected_of_done()
        if not done:
            return None
        left = (sum(self._expected.values()) - done) * elapsed / done
        return left if self.budget_seconds is None else max(0.0, min(left, self.budget_seconds - elapsed))

    def _expected_of_done(self) -> float:
        return sum(self._expected.get(part, 0.0) * share for part, share in self._done.items())
