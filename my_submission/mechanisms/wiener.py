"""A multichannel Wiener filter over the blended estimates, as the last stage of a system.

Networks that estimate one source each are independent: their estimates need not add up to the mixture. The filter takes
their powers and spatial covariances as a model of the sources and distributes the mixture by it, window by window
(dsp/wiener.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from my_submission.dsp.stft import istft, stft
from my_submission.dsp.wiener import filtered_together
from my_submission.geometry import SAMPLE_RATE, FadeChunking, StftGeometry
from my_submission.mechanisms.song_context import SongContext
from my_submission.planning import ClosingStage, Forecast, SegmentBuffer, WorkItem
from my_submission.planning.calibration import part_key
from my_submission.planning.cost_model import MARGIN
from my_submission.planning.coverage import FADE_SAMPLES
from my_submission.planning.stage import probe_item
from my_submission.stems import Stems, Waveform

WIENER_FILTER = "Wiener filter"
"""Name of the stage."""

WIENER_SECONDS_PER_SOURCE = 0.007
"""Usual seconds to filter a second of one source, overlaps of the windows included, until it is measured."""

PROBED_SAMPLES = SAMPLE_RATE
"""Samples that a probe filters, without its context."""


class MultichannelWienerFilter:
    """The filter over one window of a song.

    Args:
        geometry: the transform; all of its bins must be kept.
    """

    def __init__(self, geometry: StftGeometry) -> None:
        if geometry.kept_bins != geometry.n_bins:
            raise ValueError(f"kept_bins={geometry.kept_bins}: the filter needs all {geometry.n_bins}")
        self.geometry = geometry

    @property
    def context_samples(self) -> int:
        """Samples of context on both sides of a window, so that no frame of it is cut."""
        return self.geometry.n_fft

    def filter(self, estimates: Waveform, mixture: Waveform) -> Waveform:
        """Return a filtered window without its context.

        Args:
            estimates: float32 (sources, 2, context + n + context), silent outside the song.
            mixture: float32 (2, context + n + context).

        Returns:
            float32 (sources, 2, n).
        """
        context, samples = self.context_samples, mixture.shape[-1]
        # The inverse transform ends with the last whole hop.
        padding = [(0, 0), (0, -samples % self.geometry.hop)]
        mixed = stft(np.pad(mixture, padding), self.geometry)
        spectra = stft(np.pad(estimates, [(0, 0), *padding]), self.geometry)
        filtered = istft(filtered_together(spectra, mixed), self.geometry)
        return filtered[..., context : samples - context]


@dataclass(frozen=True)
class WienerRecipe:
    """A multichannel Wiener filter over blended estimates, and its share of the answer.

    Attributes:
        shares: source to the share of the filter's estimate; the rest stays as it was blended.
        geometry: the filter's transform.
        windows: stretches of the song that have spatial covariances of their own.
        minus: sources that are subtracted from the mixture first and are not filtered.
        adds_up: whether the stems add up to the mixture: each filtered source gets an equal part of what the stems
            lack of it, also where a deadline left no time for the filter.
    """

    shares: Mapping[str, float]
    geometry: StftGeometry
    windows: FadeChunking
    minus: tuple[str, ...] = ()
    adds_up: bool = False

    def __post_init__(self) -> None:
        if not all(0 <= share <= 1 for share in self.shares.values()):
            raise ValueError(f"the shares {dict(self.shares)} of the Wiener filter must lie between 0 and 1")

    def stage(
        self,
        song: SongContext,
        *,
        read: Callable[[int, int], Stems],
        is_estimated: Callable[[int, int], bool],
        sources: Sequence[str],
    ) -> tuple[SegmentBuffer, WienerStage]:
        """Return the buffer of the filtered estimates, and the stage that fills it.

        Args:
            song: the song.
            read: returns the blended estimates of some samples.
            is_estimated: whether the networks have covered some samples.
            sources: sources in the order of the buffer.
        """
        buffer = SegmentBuffer(
            song.stores(sources),
            song.samples,
            mean_and_std=(0.0, 1.0),
            grid=self.windows,
            fade_samples=min(FADE_SAMPLES, self.windows.fade_samples // 2),
        )
        return buffer, WienerStage(self, song, buffer, read=read, is_estimated=is_estimated)


class WienerStage(ClosingStage):
    """Windows of the filter over the blended estimates, in the song's order.

    Args:
        recipe: the filter.
        song: the song.
        buffer: where the filtered windows are added; the filter takes its sources in their order.
        read: returns the blended estimates of some samples.
        is_estimated: whether the networks have covered some samples; others are not worth filtering.
    """

    def __init__(
        self,
        recipe: WienerRecipe,
        song: SongContext,
        buffer: SegmentBuffer,
        *,
        read: Callable[[int, int], Stems],
        is_estimated: Callable[[int, int], bool],
    ) -> None:
        self._sources = tuple(buffer.coverage)
        # The cost depends on neither system nor weights: all songs of as many sources share it.
        runs_on = f"{len(self._sources)} sources"
        key = part_key(WIENER_FILTER, system="any", weights="", runs_on=runs_on, chunking=recipe.geometry)
        super().__init__(song.name, key, "numpy CPU", song.samples)
        song.forecast.costs.assume(key, WIENER_SECONDS_PER_SOURCE * len(self._sources))
        self._filter = MultichannelWienerFilter(recipe.geometry)
        self._mixture = song.mixture
        self._read = read
        self._is_estimated = is_estimated
        self._buffer = buffer
        self._segment_samples = recipe.windows.segment_samples
        self._offsets = list(recipe.windows.offsets(song.samples))
        self._coverage = next(iter(buffer.coverage.values()))
        self._is_probed = False

    @property
    def covered_samples(self) -> int:
        """Samples of the song that are done."""
        return self._coverage.covered_samples

    @property
    def is_done(self) -> bool:
        """Whether no window is left."""
        return not self._offsets

    @property
    def final_samples(self) -> int:
        """First sample of the first window that is left."""
        return self._bounds(self._offsets[0])[0] if self._offsets else self.total_samples

    @property
    def input_stop(self) -> int:
        """End of the context of the first window that is left."""
        return self._bounds(self._offsets[0])[1] + self._filter.context_samples if self._offsets else self.total_samples

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Return the audio of the windows that are left."""
        return sum(self._seconds_of_windows(after=0))

    def seconds_to_reserve(self, forecast: Forecast, *, after: int = 0) -> float:
        """Return the pessimistic duration of the windows that begin at or after a sample, in seconds.

        If every window takes MARGIN times the highest cost so far, even the last one may begin: the cost that it is
        judged by is then MARGIN times higher than now.
        """
        cost = forecast.costs.high(self.cost_key)
        seconds = self._seconds_of_windows(after=after)
        return MARGIN * cost * (sum(seconds) + (MARGIN - 1) * max(seconds, default=0.0))

    def probe(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """Return a part of the first window that is estimated, whose result is not used."""
        offset = self._first_ready(after)
        is_needed = forecast.budget.is_limited and not self._is_probed and not forecast.costs.knows(self.cost_key)
        if not is_needed or offset is None:
            return None
        start, stop = self._bounds(offset)
        stop = min(stop, start + PROBED_SAMPLES)
        # The context is a larger part of a probe than of a window: count as much audio as a window of the same work.
        context = 2 * self._filter.context_samples
        window_share = self._segment_samples / (self._segment_samples + context)
        seconds = (stop - start + context) * window_share / SAMPLE_RATE
        item = probe_item(self, seconds, partial(self._filtered, start, stop), forecast)
        self._is_probed = item is not None
        return item

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """Return the first window that is estimated and would end in time; before it, a probe if one is needed."""
        if probe := self.probe(forecast, after=after):
            return probe
        if (offset := self._first_ready(after)) is None:
            return None
        start, stop = self._bounds(offset)
        seconds = (stop - start) / SAMPLE_RATE
        if not forecast.allows(self.cost_key, seconds):
            return None
        self._offsets.remove(offset)

        def commit(rows: Waveform) -> None:
            self._buffer.add(offset, rows, self._sources, full_samples=self._segment_samples)

        return WorkItem(self, seconds, lambda: self._filtered(start, stop), commit, start)

    def _seconds_of_windows(self, *, after: int) -> list[float]:
        """Return the length of every window left that begins at or after a sample, in seconds."""
        bounds = [self._bounds(offset) for offset in self._offsets]
        return [(stop - start) / SAMPLE_RATE for start, stop in bounds if start >= after]

    def _first_ready(self, after: int) -> int | None:
        """Return the first window left that is estimated and begins at or after a sample; None if there is none."""
        for offset in self._offsets:
            start, stop = self._bounds(offset)
            if start >= after and self._is_estimated(start, stop):
                return offset
        return None

    def _bounds(self, offset: int) -> tuple[int, int]:
        """Return the first sample of a window inside the song, and the one after its last."""
        return max(0, offset), min(offset + self._segment_samples, self.total_samples)

    def _filtered(self, start: int, stop: int) -> Waveform:
        context = self._filter.context_samples
        first, last = start - context, stop + context
        inside = max(0, first), min(last, self.total_samples)
        stems = self._read(*inside)
        outside = [(0, 0), (0, 0), (inside[0] - first, last - inside[1])]
        estimates = np.pad(np.stack([stems[source] for source in self._sources]), outside)
        mixture = self._mixture.store.read(first, last)
        return self._filter.filter(estimates, mixture)
