"""Progress and remaining time of a separation, estimated from its events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from my_submission.events import BlockWritten, Event, Note, Planned, StageAdvanced, StageFinished, StageStarted
from my_submission.geometry import SAMPLE_RATE

WRITING = "writing"
"""Name of the last part of the work: writing the stems to files."""


@dataclass(frozen=True)
class Progress:
    """Progress of a separation.

    Attributes:
        stage: the current activity, for display.
        share: share of the work done, writing included, 0 … 1.
        left_seconds: estimated remaining time; None before the first chunk is done.
        part: the current stage of the system, or "writing".
        part_seconds: seconds of audio that this part has processed.
        song_seconds: seconds of audio that it processes in total.
        n_chunks: chunks done, over all stages.
        notes: notes so far.
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
        clock: monotonic seconds.
        budget_seconds: time limit from the first event on.
        progress: the progress so far.
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
            self._expected = {**event.parts, **({WRITING: event.writing_seconds} if event.writing_seconds else {})}
        elif isinstance(event, StageStarted):
            self._expected.setdefault(event.part, max(self._expected.values(), default=1.0))
            song_seconds = event.samples / SAMPLE_RATE
            self.progress = replace(self.progress, part=event.part, part_seconds=0.0, song_seconds=song_seconds)
        elif isinstance(event, StageAdvanced):
            self._advance(event.part, event.done, event.samples)
            self.progress = replace(self.progress, n_chunks=self.progress.n_chunks + 1)
        elif isinstance(event, StageFinished):
            self._done[event.part] = 1.0
        elif isinstance(event, BlockWritten):
            self._advance(WRITING, event.done, event.samples)
        elif isinstance(event, Note):
            self.progress = replace(self.progress, notes=(*self.progress.notes, event.text))
        self.progress = replace(self.progress, share=self._share(), left_seconds=self._left(now - self._began))
        return self.progress

    def _advance(self, part: str, done: int, samples: int) -> None:
        self._done[part] = done / max(1, samples)
        self.progress = replace(
            self.progress, part=part, part_seconds=done / SAMPLE_RATE, song_seconds=samples / SAMPLE_RATE
        )

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
