"""Segments of a waveform network: at the published overlap while time allows, else at less, else where it counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from my_submission.audio_io import Mixture
from my_submission.geometry import SAMPLE_RATE, SegmentGrid
from my_submission.planning import Benefit, Coverage, Forecast, SegmentBuffer, Stage, WorkItem
from my_submission.planning.stage import probe_item
from my_submission.stems import Waveform

SHORTEST_SHARE = 8
"""A segment that would end too late may be cut down to one part in this many: five seconds of the published forty,
half of the ten seconds that Demucs was trained on."""

TIGHTNESS = 1.05
"""An overlap is chosen when all of its segments would end in time even if they took this much longer than usual."""


class SegmentEstimator(Protocol):
    """Estimates segments anywhere in a song."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Rows of an estimate."""
        ...

    @property
    def runs_on(self) -> tuple[str, ...]:
        """Library and device."""
        ...

    @property
    def valid_length(self) -> Callable[[int], int]:
        """Samples to feed for a segment of that many samples."""
        ...

    @property
    def probe_samples(self) -> int:
        """Samples that a probe feeds the network."""
        ...

    def probe_cost(self, mixture: Mixture | None = None) -> float:
        """Run a small share of a segment and return that share."""
        ...

    def segments(self, mixture: Mixture, spans: Sequence[tuple[int, int]], *, is_last: bool = False) -> list[Waveform]:
        """Return estimates (sources, 2, length) of segments (offset, length), still normalised."""
        ...


class SegmentStage(Stage):
    """Segments of a waveform network over a song.

    While all that is left would end in time at the published overlap, segments are the published ones, in order; when
    it would not, the overlap shrinks from segment to segment; when not even the smallest would do, single segments are
    computed where they bring most, and what time is left is filled with shorter ones.

    Args:
        name: of the stage.
        cost_key: the key of its cost.
        estimator: estimates the segments.
        mixture: the song.
        buffer: where they are added.
        grids: the published one first, then those for less and less time: of the same segments, at smaller overlaps;
            only before the first segment one may give way to another of other segments.
        benefit: says which samples bring most.
        together: segments of one unit, while they come in order.
    """

    def __init__(
        self,
        name: str,
        cost_key: str,
        estimator: SegmentEstimator,
        mixture: Mixture,
        buffer: SegmentBuffer,
        *,
        grids: Sequence[SegmentGrid],
        benefit: Benefit,
        together: int = 1,
    ) -> None:
        super().__init__(name, cost_key, estimator.runs_on[0], mixture.samples)
        self._estimator = estimator
        self._mixture = mixture
        self._buffer = buffer
        self._coverage = next(iter(buffer.coverage.values()))
        self._grids = tuple(grids)
        self._benefit = benefit
        self._together = together
        self._last_offset: int | None = None
        self._is_over = False
        self._is_probed = False
        self._is_in_order = True
        self.is_as_published = True

    @property
    def covered_samples(self) -> int:
        """How much of the song is done."""
        return self._coverage.covered_samples

    @property
    def is_done(self) -> bool:
        """Whether no segment is left."""
        return self._is_over

    @property
    def departure(self) -> str:
        """What the deadline made of the published way, although the whole song is covered; empty where nothing."""
        if self.is_as_published:
            return ""
        if self._grids[0].segment_samples > self._grids[-1].segment_samples:
            return f"cut the song into segments for {self.name}"
        return f"left {self.name} a smaller overlap than the published one"

    @property
    def published_overlap(self) -> float:
        """The overlap without a deadline."""
        return self._grids[0].overlap_ratio

    def planned_departure(self, share: float, forecast: Forecast) -> str:
        """The overlap that time allows, if it is not the published one."""
        if (overlap := self.overlap_in_time(forecast)) is not None:
            return "" if overlap == self.published_overlap else f"{self.name} at overlap {overlap:g}"
        return super().planned_departure(share, forecast)

    def overlap_in_time(self, forecast: Forecast) -> float | None:
        """The largest overlap at which all that is left would probably end in time; None where none would."""
        grid = self._grid_in_time(forecast)
        return None if grid is None else grid.overlap_ratio

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Audio still to be heard at the overlap that time allows; at the smallest where none does."""
        if self._is_over:
            return 0.0
        grid = self._grid_in_time(forecast) or self._grids[-1]
        return self._input_seconds(grid)

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """The next segment in order, or the one that brings most, or as much of it as would end in time."""
        if self._is_over:
            return None
        if forecast.budget.is_limited and not self._is_probed and not forecast.costs.knows(self.cost_key):
            seconds = self._estimator.probe_samples / SAMPLE_RATE
            probe = probe_item(self, seconds, partial(self._estimator.probe_cost, self._mixture), forecast)
            self._is_probed = probe is not None
            return probe
        grid = self._grid_in_time(forecast) if self._is_in_order and not after else None
        if grid is None:
            return self._best_item(forecast, after)
        offsets = self._offsets(grid)
        if not offsets:
            self._is_over = True
            return None
        spans = [(offset, self._length(grid, offset)) for offset in offsets[: self._together]]
        if not forecast.allows(self.cost_key, self._span_seconds(spans)):
            return self._best_item(forecast, after)
        self._last_offset = spans[-1][0]
        self._is_over = len(offsets) == len(spans)
        self.is_as_published &= grid is self._grids[0]
        return self._item(spans, grid.segment_samples, is_last=self._is_over)

    def _grid_in_time(self, forecast: Forecast) -> SegmentGrid | None:
        """The grid of the largest overlap at which everything left would probably end in time."""
        for grid in self._grids:
            if not self._can_begin(grid, forecast):
                continue
            if forecast.has_time_for(TIGHTNESS * forecast.n_seconds(self.cost_key, self._input_seconds(grid))):
                return grid
        return None

    def _can_begin(self, grid: SegmentGrid, forecast: Forecast) -> bool:
        """Whether a segment of the grid would surely end in time, where there are grids of shorter ones to turn to."""
        if grid.segment_samples == self._grids[-1].segment_samples:
            return True
        offsets = self._offsets(grid)
        return not offsets or forecast.allows(self.cost_key, self._span_seconds([(0, self._length(grid, offsets[0]))]))

    def _offsets(self, grid: SegmentGrid) -> list[int]:
        """Segments still to come on a grid that goes on from the last one.

        Only the published grid has segments that begin where everything is covered already.
        """
        samples = self._mixture.samples
        first = None if self._last_offset is None else self._last_offset + grid.stride_samples
        offsets = list(grid.offsets(samples, first=first))
        if grid is self._grids[0]:
            return offsets
        overlap = grid.segment_samples - grid.stride_samples
        return [offset for offset in offsets if offset <= 0 or offset + overlap < samples]

    def _best_item(self, forecast: Forecast, after: int) -> WorkItem | None:
        """The segment over a gap that brings most for its time, shortened where it must be; no longer in order."""
        self._is_in_order = self.is_as_published = False
        candidates = self._gap_segments(after)
        if not candidates:
            self._is_over = self._coverage.is_whole
            return None
        start, stop = max(candidates, key=lambda span: self._gain(*span)[0] / (span[1] - span[0]))
        length = self._fitting(stop - start, forecast)
        if length is None:
            return None
        if length < stop - start:
            start = self._best_start(start, stop, length)
        return self._item([(start, length)], length, is_last=False)

    def _gap_segments(self, after: int) -> list[tuple[int, int]]:
        """Segments that would cover the gaps after a sample, each with the smallest overlap over what is there."""
        samples, grid = self._mixture.samples, self._grids[-1]
        overlap = grid.segment_samples - grid.stride_samples
        found = []
        for gap_start, gap_stop in self._coverage.gaps():
            if gap_stop <= after:
                continue
            start = max(after, gap_start - overlap if gap_start else 0)
            end = min(samples, gap_stop + overlap)
            while start < end:
                stop = min(start + grid.segment_samples, end)
                found.append((start, stop))
                if stop == end:
                    break
                start += grid.stride_samples
        return found

    def _fitting(self, length: int, forecast: Forecast) -> int | None:
        """The longest segment of up to ``length`` samples that would end in time; None when none is worth it."""
        if forecast.allows(self.cost_key, self._estimator.valid_length(length) / SAMPLE_RATE):
            return length
        context = self._estimator.valid_length(length) - length
        longest = int(forecast.longest(self.cost_key) * SAMPLE_RATE) - context
        longest -= longest % 2
        return longest if longest >= min(length, self._grids[-1].segment_samples // SHORTEST_SHARE) else None

    def _best_start(self, start: int, stop: int, length: int) -> int:
        """Where in [start, stop) a shorter segment brings most."""
        firsts = [*range(start, stop - length, max(1, length // 4)), stop - length]
        best: int = max(firsts, key=lambda first: self._gain(first, first + length))
        return best

    def _gain(self, start: int, stop: int) -> tuple[float, int]:
        """What a segment brings where nothing is yet, and how many samples that are."""
        gaps = [(max(start, first), min(stop, last)) for first, last in self._coverage.gaps()]
        gaps = [(first, last) for first, last in gaps if first < last]
        return sum(self._benefit(*gap) for gap in gaps), sum(last - first for first, last in gaps)

    def _length(self, grid: SegmentGrid, offset: int) -> int:
        """Samples of a segment inside the song."""
        return min(offset + grid.segment_samples, self._mixture.samples) - max(0, offset)

    def _input_seconds(self, grid: SegmentGrid) -> float:
        """Audio still to be heard on a grid."""
        return self._span_seconds([(offset, self._length(grid, offset)) for offset in self._offsets(grid)])

    def _span_seconds(self, spans: Sequence[tuple[int, int]]) -> float:
        return sum(self._estimator.valid_length(length) for _, length in spans) / SAMPLE_RATE

    def _item(self, spans: list[tuple[int, int]], full: int, *, is_last: bool) -> WorkItem:
        item = segment_item(self, self._estimator, self._mixture, self._buffer, spans, full=full, is_last=is_last)
        return replace(item, drop=self._go_on_with_gaps)

    def _go_on_with_gaps(self) -> None:
        self._is_over = self._is_in_order = self.is_as_published = False


class ShiftedStage(Stage):
    """Another pass of a waveform network on a shifted grid, averaged with what is there.

    Args:
        name: of the stage.
        cost_key: the key of its cost.
        estimator: estimates the segments.
        mixture: the song.
        buffer: where they are added.
        grid: segments of the first pass.
        shift_samples: how far the first segment begins inside the song.
        benefit: says which samples bring most.
    """

    def __init__(
        self,
        name: str,
        cost_key: str,
        estimator: SegmentEstimator,
        mixture: Mixture,
        buffer: SegmentBuffer,
        *,
        grid: SegmentGrid,
        shift_samples: int,
        benefit: Benefit,
    ) -> None:
        super().__init__(name, cost_key, estimator.runs_on[0], max(0, mixture.samples - shift_samples))
        self._estimator = estimator
        self._mixture = mixture
        self._buffer = buffer
        self._covered = Coverage(mixture.samples)
        self._segment = segment = grid.segment_samples
        stride, samples = grid.stride_samples, mixture.samples
        self._spans = [
            (offset, min(segment, samples - offset))
            for offset in range(shift_samples, samples, stride)
            if offset == shift_samples or offset + segment - stride < samples
        ]
        self._spans.sort(key=lambda span: -benefit(span[0], span[0] + span[1]) / span[1])

    @property
    def covered_samples(self) -> int:
        """How much of the song is done."""
        return self._covered.covered_samples

    @property
    def is_done(self) -> bool:
        """Whether no segment is left."""
        return not self._spans

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Audio of the segments that are left, context included."""
        return sum(self._estimator.valid_length(length) for _, length in self._spans) / SAMPLE_RATE

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """The next segment."""
        index = next((index for index, (offset, _) in enumerate(self._spans) if offset >= after), None)
        if index is None:
            return None
        offset, length = self._spans[index]
        if not forecast.allows(self.cost_key, self._estimator.valid_length(length) / SAMPLE_RATE):
            return None
        del self._spans[index]
        self._covered.add(offset, offset + length)
        args = (self._estimator, self._mixture, self._buffer, [(offset, length)])
        return segment_item(self, *args, full=self._segment, is_last=self.is_done)


def segment_item(
    stage: Stage,
    estimator: SegmentEstimator,
    mixture: Mixture,
    buffer: SegmentBuffer,
    spans: Sequence[tuple[int, int]],
    *,
    full: int,
    is_last: bool,
) -> WorkItem:
    """Return segments (offset, length) as one work item; weights lie over ``full`` samples, cut at the song's ends.

    A segment that begins before the song has a negative offset, and the length that lies inside.
    """
    inside = [(max(0, offset), length) for offset, length in spans]

    def compute() -> list[Waveform]:
        return estimator.segments(mixture, inside, is_last=is_last)

    def commit(estimates: list[Waveform]) -> None:
        for (offset, _), rows in zip(spans, estimates, strict=True):
            buffer.add(offset, rows, estimator.sources, full_samples=full)

    audio_seconds = sum(estimator.valid_length(length) for _, length in spans) / SAMPLE_RATE
    return WorkItem(stage, audio_seconds, compute, commit, inside[0][0])
