"""Masks of a song, then the filter that all of them teach: two parts of which the second waits for the first.

The filter costs little. Enough time is kept back for it while masks are estimated, so whatever masks there are when
time runs out become stems.
"""

from __future__ import annotations

from typing import Protocol

from my_submission.geometry import SAMPLE_RATE
from my_submission.mechanisms.masked_song import MaskedSong, MaskEstimator
from my_submission.planning import ChunkBuffer, Forecast, Stage, WorkItem
from my_submission.planning.stage import probe_item
from my_submission.stems import Stems

PROBED_FRAMES = 43
"""A second of sound at the published hop."""

FILTER_SECONDS_PER_SECOND = 0.15
"""What filtering a second of audio is taken to cost where it was never measured: ten times as much as one core needs
for one source."""


class ProbedMasks(MaskEstimator, Protocol):
    """Estimates masks and can measure its own cost."""

    @property
    def runs_on(self) -> tuple[str, ...]:
        """Library and device."""
        ...

    def probe_cost(self) -> float:
        """Run ``PROBED_FRAMES`` frames of noise and return their share of a stretch."""
        ...


class MaskStage(Stage):
    """Stretches of a masking network over a song, in its order.

    Args:
        name: of the stage.
        cost_key: the key of its cost.
        estimator: estimates the masks.
        song: the masks.
        filter_key: the key of the filter's cost.
    """

    def __init__(self, name: str, cost_key: str, estimator: ProbedMasks, song: MaskedSong, *, filter_key: str) -> None:
        super().__init__(name, cost_key, estimator.runs_on[0], song.samples)
        self.song = song
        self.is_as_published = True
        self._estimator = estimator
        self._filter_key = filter_key
        self._hop_seconds = estimator.stft.hop / SAMPLE_RATE
        self._is_probed = False

    @property
    def covered_samples(self) -> int:
        """How much of the song is done."""
        return self.song.masked_samples

    @property
    def is_done(self) -> bool:
        """Whether no stretch is left."""
        return self.song.is_masked

    @property
    def departure(self) -> str:
        """What the deadline made of the published way, although the whole song is covered; empty where nothing."""
        return "" if self.is_as_published else f"cut the song into stretches for {self.name}"

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Audio of the stretches that are left."""
        return sum(last - first for first, last in self.song.spans) * self._hop_seconds

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """The next stretch, where it and the filter would end in time."""
        song = self.song
        if self.is_done or song.is_learned:
            return None
        if after and self.song.frames.samples_of(song.next_span[1]) <= after:
            return None  # stems of these masks would come too late
        if forecast.budget.is_limited and not self._is_probed and not forecast.costs.knows(self.cost_key):
            probe = probe_item(self, PROBED_FRAMES * self._hop_seconds, self._estimator.probe_cost, forecast)
            self._is_probed = probe is not None
            return probe
        if self._estimator.is_whole and not song.n_masked and not self._fits(forecast):
            song.cut(self._estimator.chunking)
            self.is_as_published = False
        if not self._fits(forecast):
            return None
        first, last = song.next_span
        return WorkItem(self, (last - first) * self._hop_seconds, song.estimate, song.put, first_sample=None)

    def _fits(self, forecast: Forecast) -> bool:
        """Whether the next stretch would end in time, and then the filter over all that is masked."""
        first, last = self.song.next_span
        cost = forecast.costs.high(self._filter_key, prior=FILTER_SECONDS_PER_SECOND)
        kept_back = forecast.budget.reserving(cost * last * self._hop_seconds)
        return Forecast(forecast.costs, kept_back).allows(self.cost_key, (last - first) * self._hop_seconds)


class FilterStage(Stage):
    """Stems of a song's masks, in its order; begins once there are no more masks to wait for.

    Args:
        name: of the stage.
        cost_key: the key of its cost.
        song: the masks.
        buffer: where the stems are kept.
    """

    def __init__(self, name: str, cost_key: str, song: MaskedSong, buffer: ChunkBuffer) -> None:
        super().__init__(name, cost_key, "numpy CPU", song.samples)
        self.song = song
        self._buffer = buffer
        self._position = 0
        self._covered_samples = 0

    @property
    def covered_samples(self) -> int:
        """Samples of the song that are done."""
        return self._covered_samples

    @property
    def is_done(self) -> bool:
        """Whether the song's end is reached."""
        return self._position >= self.total_samples

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Audio up to the song's end, as often as it is gone through."""
        seconds = (self.total_samples - self._position) / SAMPLE_RATE
        return seconds + (0.0 if self.song.is_learned else self._learning_seconds())

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """The next block; the first time, what must be learned before it.

        To be asked only when there is no time for more masks: none can be added afterwards.
        """
        song = self.song
        if not song.n_masked or self.is_done:
            return None
        if not song.is_learned:
            if not forecast.allows(self.cost_key, self._learning_seconds(), prior=FILTER_SECONDS_PER_SECOND):
                return None
            return WorkItem(self, self._learning_seconds(), song.learn_all, lambda _: None, first_sample=None)
        start, stop = next(song.blocks(from_sample=max(self._position, after)), (0, 0))
        if start == stop:
            return None
        seconds = (stop - start) / SAMPLE_RATE
        if not forecast.allows(self.cost_key, seconds, prior=FILTER_SECONDS_PER_SECOND):
            return None

        def commit(stems: Stems) -> None:
            for source, stem in stems.items():
                self._buffer.paint(source, start, stem)
            self._position = stop
            self._covered_samples += stop - start

        return WorkItem(self, seconds, lambda: song.stems(start, stop), commit, start)

    def _learning_seconds(self) -> float:
        """Audio of the passes after the first, which is made while masks are estimated."""
        passes = max(0, self.song.estimator.wiener.iterations - 1)
        return passes * self.song.masked_samples / SAMPLE_RATE
