"""Progress and remaining time of a run of several songs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from my_submission.events import Event
from my_submission.progress import Progress, ProgressMeter


@dataclass(frozen=True)
class RunState:
    """State of a run.

    Attributes:
        number: number of the current song, from 1.
        song: progress of the current song.
        speed: seconds of music per second of work, of the current song; None if unknown.
        song_left: estimated seconds that the current song still takes; None if unknown.
        share: share of the music of all songs that is done, 0 … 1.
        left: estimated seconds that all songs still take; None if unknown.
    """

    number: int
    song: Progress
    speed: float | None
    song_left: float | None
    share: float
    left: float | None


@dataclass
class RunMeter:
    """Converts the events of songs to the progress of a run.

    Attributes:
        durations: length of every song in seconds; None if it is unknown before decoding.
        clock: monotonic seconds.
    """

    durations: Sequence[float | None]
    clock: Callable[[], float]
    _meter: ProgressMeter = field(init=False)
    _number: int = 0
    _is_open: bool = False
    _began: float = 0.0
    _share: float = 0.0
    _work: float = 0.0
    _music: float = 0.0

    def __post_init__(self) -> None:
        known = [seconds for seconds in self.durations if seconds]
        mean = sum(known) / len(known) if known else 1.0
        self._seconds = [seconds or mean for seconds in self.durations]
        self._are_known = bool(known)
        self._meter = ProgressMeter(self.clock)

    def begin_song(self, budget_seconds: float | None = None) -> None:
        """Begin the next song.

        Args:
            budget_seconds: what is left of its time limit; None without one.
        """
        self._meter = ProgressMeter(self.clock, budget_seconds)
        self._number += 1
        self._is_open = True
        self._began, self._share = self.clock(), 0.0

    def take(self, event: Event) -> RunState:
        """Return the state after an event of the current song."""
        self._meter.take(event)
        return self.state()

    def state(self) -> RunState:
        """Return the state now."""
        song = self._meter.progress
        elapsed = self.clock() - self._began
        music = self._seconds[self._number - 1]
        self._share = max(self._share, song.share)  # an estimate that rises does not move the bar back
        expected = None if song.left_seconds is None else elapsed + song.left_seconds
        speed = music / expected if expected and self._are_known else None
        return RunState(
            number=self._number,
            song=song,
            speed=speed,
            song_left=song.left_seconds,
            share=(sum(self._seconds[: self._number - 1]) + self._share * music) / max(1e-9, sum(self._seconds)),
            left=self._left(song.left_seconds, expected),
        )

    @property
    def song_share(self) -> float:
        """Share of the current song that is done, 0 … 1; it never falls."""
        return self._share

    def end_song(self, *, is_separated: bool) -> None:
        """End the current song, or one that did not begin; only a separated song is used to estimate the speed."""
        if not self._is_open:
            self._number += 1
        self._is_open = False
        if is_separated:
            self._work += self.clock() - self._began
            self._music += self._seconds[self._number - 1]

    def _left(self, song_left: float | None, expected: float | None) -> float | None:
        """Return the seconds left of the run: those of this song, and of the others at the speed so far."""
        waiting = sum(self._seconds[self._number :])
        work, music = self._work, self._music
        if expected is not None:
            work, music = work + expected, music + self._seconds[self._number - 1]
        if not waiting:
            return song_left
        return None if song_left is None or not music else song_left + waiting * work / music
