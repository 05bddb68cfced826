"""Segments of a waveform network: at the published overlap, at a smaller one, or only where they are worth most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from my_submission.audio_io import Mixture
from my_submission.geometry import SAMPLE_RATE, SegmentGrid
from my_submission.planning import Benefit, Coverage, Forecast, SegmentBuffer, Stage, WorkItem
from my_submission.planning.stage import probe_item
from my_submission.stems import Waveform

if TYPE_CHECKING:
    from my_submission.mechanisms.waveform import WaveformMechanism

SHORTEST_SHARE = 8
"""A segment that would end too late is cut down to at least 1 / 8: five seconds of the published forty, half of the ten
seconds that Demucs was trained on."""

TIGHTNESS = 1.05
"""An overlap is chosen if all of its segments would end in time even at this multiple of their likely cost."""


class _SegmentWork(Stage):
    """Segments (offset, length) of a waveform network, anywhere in a song.

    Args:
        name: shown in plans and reports.
        cost_key: key of its cost.
        network: estimates the segments.
        mixture: the song.
        buffer: where the estimates are added.
        total_samples: samples of the song that it has to cover.
    """

    def __init__(
        self,
        name: str,
        cost_key: str,
        network: WaveformMechanism,
        mixture: Mixture,
        buffer: SegmentBuffer,
        *,
        total_samples: int,
    ) -> None:
        super().__init__(name, cost_key, network.runs_on[0], total_samples)
        self._network = network
        self._mixture = mixture
        self._buffer = buffer

    def _input_seconds(self, spans: Sequence[tuple[int, int]]) -> float:
        """Return the audio that goes through the network for some segments, context included."""
        return sum(self._network.valid_length(length) for _, length in spans) / SAMPLE_RATE

    def _item(self, spans: Sequence[tuple[int, int]], full_samples: int, *, is_last: bool) -> WorkItem:
        """Return segments as one work item; their weights lie over ``full_samples`` and are cut at the song's ends.

        A segment that begins before the song has a negative offset, and the length that lies inside.
        """
        inside = [(max(0, offset), length) for offset, length in spans]

        def compute() -> list[Waveform]:
            return self._network.segments(self._mixture, inside, is_last=is_last)

        def commit(estimates: list[Waveform]) -> None:
            for (offset, _), rows in zip(spans, estimates, strict=True):
                self._buffer.add(offset, rows, self._network.sources, full_samples=full_samples)

        return WorkItem(self, self._input_seconds(spans), compute, commit, inside[0][0])


class SegmentStage(_SegmentWork):
    """Segments of a waveform network over a song.

    Segments are the published ones, in order, while all that is left would end in time at the published overlap. Else
    the overlap shrinks from segment to segment. If not even the smallest overlap would end in time, single segments are
    computed where they are worth most, and the time that is left is filled with shorter ones.

    Args beyond those of the base class:
        grids: the published one, then grids that take ever less time: the same segments at smaller overlaps, or, only
            before the first segment, shorter segments.
        benefit: value of estimating some samples.
        together: segments of one work item, while they come in order.
    """

    def __init__(
        self,
        name: str,
        cost_key: str,
        network: WaveformMechanism,
        mixture: Mixture,
        buffer: SegmentBuffer,
        *,
        grids: Sequence[SegmentGrid],
        benefit: Benefit,
        together: int = 1,
    ) -> None:
        super().__init__(name, cost_key, network, mixture, buffer, total_samples=mixture.samples)
        self._coverage = next(iter(buffer.coverage.values()))
        self._grids = tuple(grids)
        self._benefit = benefit
        self._together = together
        self._last_offset: int | None = None
        self._is_over = False
        self._is_probed = False
        self._is_in_order = True

    @property
    def covered_samples(self) -> int:
        """Samples of the song that are done."""
        return self._coverage.covered_samples

    @property
    def is_done(self) -> bool:
        """Whether no segment is left."""
        return self._is_over

    @property
    def final_samples(self) -> int:
        """First sample of the next published segment."""
        offsets = [] if self._is_over else self._offsets(self._grids[0])
        return max(0, offsets[0]) if offsets else self._mixture.samples

    @property
    def input_stop(self) -> int:
        """End of the context of the published segments of the next work item."""
        grid = self._grids[0]
        offsets = [] if self._is_over else self._offsets(grid)[: self._together]
        if not offsets:
            return self._mixture.samples
        length = self._length(grid, offsets[-1])
        needed = self._network.valid_length(length)
        return max(0, offsets[-1]) - (needed - length) // 2 + needed

    @property
    def deviation(self) -> str:
        """How the deadline changed the published method, as the predicate of "the deadline …"."""
        if self._grids[0].segment_samples > self._grids[-1].segment_samples:
            return f"cut the song into segments for {self.name}"
        return f"left {self.name} a smaller overlap than the published one"

    def planned_deviation(self, share: float, forecast: Forecast) -> str:
        """Return the overlap that time allows, for display; empty if it is the published one."""
        grid = self._grid_in_time(forecast)
        if grid is None:
            return super().planned_deviation(share, forecast)
        is_published = grid.overlap_ratio == self._grids[0].overlap_ratio
        return "" if is_published else f"{self.name} at overlap {grid.overlap_ratio:g}"

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Return the audio left at the overlap that time allows; at the smallest one if time allows none."""
        return 0.0 if self._is_over else self._grid_seconds(self._grid_in_time(forecast) or self._grids[-1])

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """Return the next segment in order, or the one that is worth most, or as much of it as would end in time."""
        if self._is_over:
            return None
        if forecast.budget.is_limited and not self._is_probed and not forecast.costs.knows(self.cost_key):
            seconds = self._network.probe_samples / SAMPLE_RATE
            probe = probe_item(self, seconds, partial(self._network.probe_cost, self._mixture), forecast)
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
        if not forecast.allows(self.cost_key, self._input_seconds(spans)):
            return self._best_item(forecast, after)
        self._last_offset = spans[-1][0]
        self._is_over = len(offsets) == len(spans)
        self.is_as_published &= grid is self._grids[0]
        return self._item(spans, grid.segment_samples, is_last=self._is_over)

    def _grid_in_time(self, forecast: Forecast) -> SegmentGrid | None:
        """Return the grid of the largest overlap at which all that is left would probably end in time."""
        for grid in self._grids:
            if not self._can_begin(grid, forecast):
                continue
            if forecast.has_time_for(TIGHTNESS * forecast.n_seconds(self.cost_key, self._grid_seconds(grid))):
                return grid
        return None

    def _can_begin(self, grid: SegmentGrid, forecast: Forecast) -> bool:
        """Whether a segment of the grid would surely end in time; True if no grid has shorter segments."""
        if grid.segment_samples == self._grids[-1].segment_samples:
            return True
        offsets = self._offsets(grid)
        return not offsets or forecast.allows(self.cost_key, self._input_seconds([(0, self._length(grid, offsets[0]))]))

    def _offsets(self, grid: SegmentGrid) -> list[int]:
        """Return the offsets that are left on a grid that continues from the last segment.

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
        """Return the segment over a gap with the largest gain per sample, shortened to end in time."""
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
        """Return segments that would cover the gaps after a sample, at the smallest overlap with their neighbours."""
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
        """Return the length of the longest segment, up to ``length``, that would end in time; None if too short."""
        if forecast.allows(self.cost_key, self._network.valid_length(length) / SAMPLE_RATE):
            return length
        context = self._network.valid_length(length) - length
        longest = int(forecast.longest(self.cost_key) * SAMPLE_RATE) - context
        longest -= longest % 2
        return longest if longest >= min(length, self._grids[-1].segment_samples // SHORTEST_SHARE) else None

    def _best_start(self, start: int, stop: int, length: int) -> int:
        """Return the start in [start, stop) at which a shorter segment has the largest gain."""
        firsts = [*range(start, stop - length, max(1, length // 4)), stop - length]
        best: int = max(firsts, key=lambda first: self._gain(first, first + length))
        return best

    def _gain(self, start: int, stop: int) -> tuple[float, int]:
        """Return the benefit of a segment in the gaps, and how many samples of it lie there."""
        gaps = [(max(start, first), min(stop, last)) for first, last in self._coverage.gaps()]
        gaps = [(first, last) for first, last in gaps if first < last]
        return sum(self._benefit(*gap) for gap in gaps), sum(last - first for first, last in gaps)

    def _length(self, grid: SegmentGrid, offset: int) -> int:
        """Return the samples of a segment inside the song."""
        return min(offset + grid.segment_samples, self._mixture.samples) - max(0, offset)

    def _grid_seconds(self, grid: SegmentGrid) -> float:
        """Return the audio that is left on a grid."""
        return self._input_seconds([(offset, self._length(grid, offset)) for offset in self._offsets(grid)])

    def _item(self, spans: Sequence[tuple[int, int]], full_samples: int, *, is_last: bool) -> WorkItem:
        return replace(super()._item(spans, full_samples, is_last=is_last), drop=self._go_on_with_gaps)

    def _go_on_with_gaps(self) -> None:
        self._is_over = self._is_in_order = self.is_as_published = False


class ShiftedStage(_SegmentWork):
    """Another pass of a waveform network on a shifted grid, averaged with the estimates so far.

    Args beyond those of the base class:
        grid: segments of the first pass.
        shift_samples: first sample of the first segment.
        benefit: value of estimating some samples.
    """

    def __init__(
        self,
        name: str,
        cost_key: str,
        network: WaveformMechanism,
        mixture: Mixture,
        buffer: SegmentBuffer,
        *,
        grid: SegmentGrid,
        shift_samples: int,
        benefit: Benefit,
    ) -> None:
        samples = mixture.samples
        super().__init__(name, cost_key, network, mixture, buffer, total_samples=max(0, samples - shift_samples))
        self._covered = Coverage(samples)
        self._segment_samples = segment = grid.segment_samples
        stride = grid.stride_samples
        self._spans = [
            (offset, min(segment, samples - offset))
            for offset in range(shift_samples, samples, stride)
            if offset == shift_samples or offset + segment - stride < samples
        ]
        self._spans.sort(key=lambda span: -benefit(span[0], span[0] + span[1]) / span[1])

    @property
    def covered_samples(self) -> int:
        """Samples of the song that are done."""
        return self._covered.covered_samples

    @property
    def is_done(self) -> bool:
        """Whether no segment is left."""
        return not self._spans

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Return the audio of the segments that are left, context included."""
        return self._input_seconds(self._spans)

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """Return the next segment."""
        index = next((index for index, (offset, _) in enumerate(self._spans) if offset >= after), None)
        if index is None or not forecast.allows(self.cost_key, self._input_seconds([self._spans[index]])):
            return None
        offset, length = self._spans.pop(index)
        self._covered.add(offset, offset + length)
        return self._item([(offset, length)], self._segment_samples, is_last=self.is_done)
