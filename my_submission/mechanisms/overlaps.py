"""Overlapping chunks in two passes: the chunks that cover the song, then the others.

The second pass is left out first when time is short. After both, the estimate is the published one: the mean of two
wherever two chunks overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from my_submission.geometry import ChunkSpan
from my_submission.planning import ChunkBuffer
from my_submission.stems import Waveform


def covering_first(spans: Sequence[ChunkSpan]) -> tuple[list[ChunkSpan], list[ChunkSpan]]:
    """Return the fewest chunks that leave no gap, and the others; both in the song's order.

    Args:
        spans: the chunks of a whole song, in order.
    """
    covering = [spans[0]]
    for index, span in enumerate(spans[1:], start=1):
        is_last = index == len(spans) - 1
        if is_last or spans[index + 1].start > covering[-1].stop:
            covering.append(span)
    chosen = set(covering)
    return covering, [span for span in spans if span not in chosen]


class OverlapAverager:
    """Puts chunks into a buffer in any order, and the mean of both where two overlap.

    No sample may lie in more than two chunks, so overlaps are at most one half. The mean is bit-identical in any
    order.

    Args:
        buffer: where the estimates are kept.
        sources: rows of an estimate.
    """

    def __init__(self, buffer: ChunkBuffer, sources: Sequence[str]) -> None:
        self._buffer = buffer
        self._sources = tuple(sources)

    def __call__(self, span: ChunkSpan, estimate: Waveform) -> None:
        """Put an estimate (sources, 2, stop − start) in its place."""
        parts = list(self._parts(span))
        for source, row in zip(self._sources, estimate, strict=True):
            for start, stop, is_first in parts:
                block = row[:, start - span.start : stop - span.start]
                if is_first:
                    self._buffer.write(source, start, block)
                else:
                    self._buffer.average(source, start, block)

    def _parts(self, span: ChunkSpan) -> Iterator[tuple[int, int, bool]]:
        """Yield stretches of a chunk, and whether it is the first to estimate them."""
        position = span.start
        for gap_start, gap_stop in self._buffer.coverage[self._sources[0]].gaps():
            start, stop = max(gap_start, span.start), min(gap_stop, span.stop)
            if start >= stop:
                continue
            if position < start:
                yield position, start, False
            yield start, stop, True
            position = stop
        if position < span.stop:
            yield position, span.stop, False
