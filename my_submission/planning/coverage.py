"""Coverage: the samples of a song that are estimated, and their degree, 0 … 1, which falls to 0 at inner edges."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import numpy as np

from my_submission.stems import Waveform

FADE_SAMPLES = 4_410
"""Estimates that end inside the song fade over a tenth of a second."""


class Coverage:
    """A set of stretches of a song; stretches that touch or overlap become one.

    Args:
        samples: length of the song.
        fade_samples: length of the ramp at an edge that lies inside the song.
    """

    def __init__(self, samples: int, *, fade_samples: int = FADE_SAMPLES) -> None:
        self.samples = samples
        self.fade_samples = fade_samples
        self._stretches: list[tuple[int, int]] = []

    @property
    def covered_samples(self) -> int:
        """Number of covered samples."""
        return sum(stop - start for start, stop in self._stretches)

    @property
    def stretches(self) -> tuple[tuple[int, int], ...]:
        """Start and stop of every stretch, in order."""
        return tuple(self._stretches)

    @property
    def is_whole(self) -> bool:
        """Whether the whole song is covered."""
        return self.covered_samples >= self.samples

    def add(self, start: int, stop: int) -> None:
        """Cover the part of [start, stop) that lies inside the song."""
        start, stop = max(0, start), min(stop, self.samples)
        if start >= stop:
            return
        first = bisect.bisect_left(self._stretches, start, key=lambda stretch: stretch[1])
        last = bisect.bisect_right(self._stretches, stop, key=lambda stretch: stretch[0])
        if first < last:
            start = min(start, self._stretches[first][0])
            stop = max(stop, self._stretches[last - 1][1])
        self._stretches[first:last] = [(start, stop)]

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Yield the stretches that are not covered, in order."""
        position = 0
        for start, stop in self._stretches:
            if position < start:
                yield position, start
            position = stop
        if position < self.samples:
            yield position, self.samples

    def degree(self, start: int, stop: int) -> Waveform | float:
        """Return the degree of coverage of the samples [start, stop): one number if all are the same, else an array.

        It is zero outside and one inside, with a straight ramp of ``fade_samples`` on the inner side of every edge that
        is not an end of the song. Neighbouring samples therefore differ by at most 1 / fade_samples.
        """
        touching = [stretch for stretch in self._stretches if stretch[0] < stop and stretch[1] > start]
        if not touching:
            return 0.0
        if self.is_within(touching[0], start, stop):
            return 1.0
        degree = np.zeros(stop - start, np.float32)
        for begin, end in touching:
            low, high = max(begin, start), min(end, stop)
            degree[low - start : high - start] = self.ramps(begin, end, low, high)
        return degree

    def ramps(self, begin: int, end: int, low: int, high: int) -> Waveform:
        """Return the degree of the samples [low, high) from the stretch [begin, end) alone, in which they lie."""
        positions = np.arange(low, high)
        rising = 1.0 if begin <= 0 else (positions - begin + 1) / (self.fade_samples + 1)
        falling = 1.0 if end >= self.samples else (end - positions) / (self.fade_samples + 1)
        ramps: Waveform = np.minimum(np.minimum(rising, falling), np.ones(high - low)).astype(np.float32)
        return ramps

    def is_within(self, stretch: tuple[int, int], start: int, stop: int) -> bool:
        """Whether [start, stop) lies in a stretch (begin, end) and away from its ramps."""
        begin, end = stretch
        is_risen = begin <= 0 or start >= begin + self.fade_samples
        is_falling = end < self.samples and stop > end - self.fade_samples
        return begin <= start and stop <= end and is_risen and not is_falling
