"""Masks of a song, then the filter that all of them teach: two parts of which the second waits for the first.

The filter costs little. Enough time is kept back for it while masks are estimated, so whatever masks there are when
time runs out become stems.
"""

from __future__ import annotations

from my_submission.geometry import SAMPLE_RATE
from my_submission.planning.layers import ChunkLayer
from my_submission.planning.pace import Forecast
from my_submission.planning.work import Unit, rehearsal
from my_submission.separators.masking import REHEARSED_FRAMES, MaskedSong
from my_submission.stems import Stems

FILTER_SECONDS_PER_SECOND = 0.15
"""What filtering a second of audio is taken to cost where it was never measured: ten times as much as one core needs
for one source."""


class MaskWork:
    """Stretches of a masking network over a song, in its order.

    Args:
        name: of the part.
        key: what its cost is known by.
        filter_key: what the cost of the filter is known by.
        song: the masks.
    """

    def __init__(self, name: str, key: str, filter_key: str, song: MaskedSong) -> None:
        self.name = name
        self.key = key
        self.runs_on = song.separator.runs_on
        self.song = song
        self.total_samples = song.samples
        self.is_as_published = True
        self._filter_key = filter_key
        self._hop_seconds = song.separator.stft.hop / SAMPLE_RATE
        self._is_rehearsed = False

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

    def next(self, forecast: Forecast, *, after: int = 0) -> Unit | None:
        """The next stretch, where it and the filter would end in time."""
        song = self.song
        if self.is_done or song.is_learned:
            return None
        if after and self.song.frames.samples_of(song.next_span[1]) <= after:
            return None  # stems of these masks would come too late
        if forecast.budget.is_limited and not self._is_rehearsed and not forecast.pace.knows(self.key):
            unit = rehearsal(self, REHEARSED_FRAMES * self._hop_seconds, song.separator.rehearse, forecast)
            self._is_rehearsed = unit is not None
            return unit
        if song.separator.is_whole and not song.n_masked and not self._fits(forecast):
            song.cut(song.separator.chunking)
            self.is_as_published = False
        if not self._fits(forecast):
            return None
        first, last = song.next_span
        return Unit(self, (last - first) * self._hop_seconds, song.estimate, song.put, first_sample=None)

    def _fits(self, forecast: Forecast) -> bool:
        """Whether the next stretch would end in time, and then the filter over all that is masked."""
        first, last = self.song.next_span
        cost = forecast.pace.high(self._filter_key, prior=FILTER_SECONDS_PER_SECOND)
        kept_back = forecast.budget.reserving(cost * last * self._hop_seconds)
        return Forecast(forecast.pace, kept_back).allows(self.key, (last - first) * self._hop_seconds)


class FilterWork:
    """Stems of a song's masks, in its order; begins once there are no more masks to wait for.

    Args:
        name: of the part.
        key: what its cost is known by.
        song: the masks.
        layer: where the stems are kept.

    Attributes:
        covered_samples: how much of the song is done.
    """

    def __init__(self, name: str, key: str, song: MaskedSong, layer: ChunkLayer) -> None:
        self.name = name
        self.key = key
        self.runs_on = "numpy CPU"
        self.song = song
        self.total_samples = song.samples
        self._layer = layer
        self._position = 0
        self.covered_samples = 0

    @property
    def is_done(self) -> bool:
        """Whether the song's end is reached."""
        return self._position >= self.total_samples

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Audio up to the song's end, as often as it is gone through."""
        seconds = (self.total_samples - self._position) / SAMPLE_RATE
        return seconds + (0.0 if self.song.is_learned else self._learning_seconds())

    def next(self, forecast: Forecast, *, after: int = 0) -> Unit | None:
        """The next block; the first time, what must be learned before it.

        To be asked only when there is no time for more masks: none can be added afterwards.
        """
        song = self.song
        if not song.n_masked or self.is_done:
            return None
        if not song.is_learned:
            if not forecast.allows(self.key, self._learning_seconds(), prior=FILTER_SECONDS_PER_SECOND):
                return None
            return Unit(self, self._learning_seconds(), song.learn_all, lambda _: None, first_sample=None)
        start, stop = next(song.blocks(from_sample=max(self._position, after)), (0, 0))
        if start == stop:
            return None
        seconds = (stop - start) / SAMPLE_RATE
        if not forecast.allows(self.key, seconds, prior=FILTER_SECONDS_PER_SECOND):
            return None

        def commit(stems: Stems) -> None:
            for source, stem in stems.items():
                self._layer.paint(source, start, stem)
            self._position = stop
            self.covered_samples += stop - start

        return Unit(self, seconds, lambda: song.stems(start, stop), commit, start)

    def _learning_seconds(self) -> float:
        """Audio of the passes after the first, which is made while masks are estimated."""
        passes = max(0, self.song.separator.wiener.iterations - 1)
        return passes * self.song.masked_samples / SAMPLE_RATE
