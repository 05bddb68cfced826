"""How far a separation is and how long it will take, from its stream of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from my_submission.events import Event, Note, Planned, StageAdvanced, StageFinished, StageStarted
from my_submission.geometry import SAMPLE_RATE


@dataclass(frozen=True)
class Progress:
    """A moment of a separation.

    Attributes:
        stage: what is being done, for a reader.
        share: of the work, 0 … 1.
        left_seconds: how long the separation will probably take from now on; None before the first chunk is done.
        part: the part in hand.
        part_seconds: seconds of the song that this part has done.
        song_seconds: seconds of the song it has to do.
        n_chunks: chunks done, over all parts.
        notes: what the visitor should know.
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
    """Turns events into moments.

    The plan says what each part is expected to take. What the parts have taken so far corrects it: a machine that is
    twice as slow as expected is taken to stay so.

    Attributes:
        clock: monotonic seconds.
        budget_seconds: from the first event on; nothing takes longer.
    """

    clock: Callable[[], float]
    budget_seconds: float | None = None
    moment: Progress = Progress("Separating")
    _expected: dict[str, float] = field(default_factory=dict)
    _done: dict[str, float] = field(default_factory=dict)
    _began: float | None = None

    def take(self, event: Event) -> Progress:
        """The moment after an event."""
        now = self.clock()
        if self._began is None:
            self._began = now
        if isinstance(event, Planned):
            self._expected = dict(event.parts)
        elif isinstance(event, StageStarted):
            self._expected.setdefault(event.part, max(self._expected.values(), default=1.0))
            song_seconds = event.samples / SAMPLE_RATE
            self.moment = replace(self.moment, part=event.part, part_seconds=0.0, song_seconds=song_seconds)
        elif isinstance(event, StageAdvanced):
            self._done[event.part] = event.done / max(1, event.samples)
            n_chunks, done = self.moment.n_chunks + 1, event.done / SAMPLE_RATE
            self.moment = replace(self.moment, part_seconds=done, n_chunks=n_chunks)
        elif isinstance(event, StageFinished):
            self._done[event.part] = 1.0
        elif isinstance(event, Note):
            self.moment = replace(self.moment, notes=(*self.moment.notes, event.text))
        self.moment = replace(self.moment, share=self._share(), left_seconds=self._left(now - self._began))
        return self.moment

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
