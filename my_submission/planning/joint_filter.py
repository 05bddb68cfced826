"""The joint filter as work: windows of the song whose estimates are all there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from my_submission.audio_io import Mixture
from my_submission.geometry import SAMPLE_RATE, SegmentGrid
from my_submission.planning.layers import SegmentLayer
from my_submission.planning.pace import MARGIN, Forecast
from my_submission.planning.work import Unit
from my_submission.separators import JointFilter
from my_submission.stems import Stems, Waveform

JOINT_FILTER_SECONDS_PER_SECOND = 0.1
"""What filtering a second of four sources is taken to cost where it was never measured: several times what one core
needs."""


class JointFilterWork:
    """Windows of a filter over what the networks have estimated, in the song's order.

    Args:
        name: of the part.
        key: what its cost is known by.
        joint_filter: the filter.
        mixture: the song.
        read: gives the estimates of some samples of the song, blended as they would be written without the filter.
        is_estimated: whether the networks have covered all of some samples; others are not worth filtering.
        sources: in the order of the layer.
        layer: where windows are added up.
        grid: where they lie.
    """

    def __init__(
        self,
        name: str,
        key: str,
        joint_filter: JointFilter,
        mixture: Mixture,
        *,
        read: Callable[[int, int], Stems],
        is_estimated: Callable[[int, int], bool],
        sources: Sequence[str],
        layer: SegmentLayer,
        grid: SegmentGrid,
    ) -> None:
        self.name = name
        self.key = key
        self.runs_on = "numpy CPU"
        self.total_samples = mixture.samples
        self._filter = joint_filter
        self._mixture = mixture
        self._read = read
        self._is_estimated = is_estimated
        self._sources = tuple(sources)
        self._layer = layer
        self._segment_samples = grid.segment_samples
        self._offsets = list(grid.offsets(mixture.samples))
        self._coverage = next(iter(layer.coverage.values()))

    @property
    def covered_samples(self) -> int:
        """How much of the song is done."""
        return self._coverage.covered_samples

    @property
    def is_done(self) -> bool:
        """Whether no window is left."""
        return not self._offsets

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Audio of the windows that are left."""
        return self._audio_seconds(after=0)

    def seconds_to_keep(self, forecast: Forecast, *, after: int = 0) -> float:
        """What the windows that begin at or after a sample will hardly take longer than."""
        cost = forecast.pace.high(self.key, prior=JOINT_FILTER_SECONDS_PER_SECOND)
        return MARGIN * cost * self._audio_seconds(after=after)

    def next(self, forecast: Forecast, *, after: int = 0) -> Unit | None:
        """The first window that is estimated and would end in time."""
        ready = (offset for offset in self._offsets if self._is_ready(offset, after))
        if (offset := next(ready, None)) is None:
            return None
        start, stop = self._bounds(offset)
        seconds = (stop - start) / SAMPLE_RATE
        if not forecast.allows(self.key, seconds, prior=JOINT_FILTER_SECONDS_PER_SECOND):
            return None
        self._offsets.remove(offset)

        def commit(rows: Waveform) -> None:
            self._layer.add(offset, rows, self._sources, full_samples=self._segment_samples)

        return Unit(self, seconds, lambda: self._filtered(start, stop), commit, start)

    def _audio_seconds(self, *, after: int) -> float:
        """Audio of the windows left that begin at or after a sample."""
        bounds = [self._bounds(offset) for offset in self._offsets]
        return sum(stop - start for start, stop in bounds if start >= after) / SAMPLE_RATE

    def _is_ready(self, offset: int, after: int) -> bool:
        start, stop = self._bounds(offset)
        return start >= after and self._is_estimated(start, stop)

    def _bounds(self, offset: int) -> tuple[int, int]:
        """The window's first sample, and the one after its last, inside the song."""
        return max(0, offset), min(offset + self._segment_samples, self.total_samples)

    def _filtered(self, start: int, stop: int) -> Waveform:
        context = self._filter.context_samples
        first, last = start - context, stop + context
        inside = max(0, first), min(last, self.total_samples)
        stems = self._read(*inside)
        outside = [(0, 0), (0, 0), (inside[0] - first, last - inside[1])]
        estimates = np.pad(np.stack([stems[source] for source in self._sources]), outside)
        return self._filter.filter(estimates, self._mixture.store.read(first, last))
