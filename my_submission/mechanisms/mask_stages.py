"""The masks of a song, then the Wiener filter that learns from all of them, as two stages.

The filter costs little. Time for it is reserved while masks are estimated, so the masks that exist when time runs out
become stems.
"""

from __future__ import annotations

from my_submission.geometry import SAMPLE_RATE
from my_submission.mechanisms.masked_song import MaskedSong
from my_submission.planning import ChunkBuffer, Forecast, Stage, WorkItem
from my_submission.planning.stage import probe_item
from my_submission.stems import Stems

PROBED_FRAMES = 43
"""Frames of a probe: one second at the published hop."""

FILTER_SECONDS_PER_SECOND = 0.04
"""Assumed cost of filtering a second of audio until it is measured: three times what one core needs for one source."""


class MaskStage(Stage):
    """Stretches of a masking network over a song, in its order.

    Args:
        song: the masks.
        filter_key: key of the filter's cost.
    """

    def __init__(self, name: str, cost_key: str, song: MaskedSong, *, filter_key: str) -> None:
        super().__init__(name, cost_key, song.mechanism.runs_on[0], song.samples)
        self.song = song
        self._mechanism = song.mechanism
        self._filter_key = filter_key
        self._hop_seconds = song.mechanism.stft.hop / SAMPLE_RATE
        self._is_probed = False

    @property
    def covered_samples(self) -> int:
        """Samples of the song that are done."""
        return self.song.masked_samples

    @property
    def is_done(self) -> bool:
        """Whether no stretch is left."""
        return self.song.is_masked

    @property
    def deviation(self) -> str:
        """How the deadline changed the published method, as the predicate of "the deadline …"."""
        return f"cut the song into stretches for {self.name}"

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Return the audio of the stretches that are left."""
        return sum(last - first for first, last in self.song.spans) * self._hop_seconds

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """Return the next stretch if it and the filter would end in time."""
        song = self.song
        if self.is_done or song.is_learned:
            return None
        if after and song.frames.samples_of(song.next_span[1]) <= after:
            return None  # stems of these masks would come too late
        if forecast.budget.is_limited and not self._is_probed and not forecast.costs.knows(self.cost_key):
            probe = probe_item(self, PROBED_FRAMES * self._hop_seconds, self._mechanism.probe_cost, forecast)
            self._is_probed = probe is not None
            return probe
        if self._mechanism.is_whole and not song.n_masked and not self._fits(forecast):
            song.cut(self._mechanism.chunking)
            self.is_as_published = False
        if not self._fits(forecast):
            return None
        first, last = song.next_span
        return WorkItem(self, (last - first) * self._hop_seconds, song.estimate, song.put, first_sample=None)

    def _fits(self, forecast: Forecast) -> bool:
        """Whether the next stretch, and then the filter over all that is masked, would end in time."""
        first, last = self.song.next_span
        cost = forecast.costs.high(self._filter_key)
        kept_back = forecast.budget.reserving(cost * last * self._hop_seconds)
        return Forecast(forecast.costs, kept_back).allows(self.cost_key, (last - first) * self._hop_seconds)


class FilterStage(Stage):
    """Stems of a song's masks, in its order; begins after the last mask.

    Args:
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
        """Return the audio up to the song's end, counted once per pass."""
        seconds = (self.total_samples - self._position) / SAMPLE_RATE
        return seconds + (0.0 if self.song.is_learned else self._learning_seconds())

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """Return the next block; at first, the learning that it needs.

        Call it only when there is no time for more masks, because none can be added afterwards.
        """
        song = self.song
        if not song.n_masked or self.is_done:
            return None
        if not song.is_learned:
            if not forecast.allows(self.cost_key, self._learning_seconds()):
                return None
            return WorkItem(self, self._learning_seconds(), song.learn_all, lambda _: None, first_sample=None)
        start, stop = next(song.blocks(from_sample=max(self._position, after)), (0, 0))
        if start == stop:
            return None
        seconds = (stop - start) / SAMPLE_RATE
        if not forecast.allows(self.cost_key, seconds):
            return None

        def commit(stems: Stems) -> None:
            for source, stem in stems.items():
                self._buffer.write(source, start, stem)
            self._position = stop
            self._covered_samples += stop - start

        return WorkItem(self, seconds, lambda: song.stems(start, stop), commit, start)

    def _learning_seconds(self) -> float:
        """Return the audio of the passes after the first, which is done while masks are estimated."""
        passes = max(0, self.song.mechanism.wiener.iterations - 1)
        return passes * self.song.masked_samples / SAMPLE_RATE
