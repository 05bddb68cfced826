"""Work in units: what one separator has still to do for a song, in the order of what it brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from my_submission.audio_io import Mixture
from my_submission.geometry import SAMPLE_RATE, ChunkSpan
from my_submission.planning.layers import ChunkLayer
from my_submission.planning.pace import Forecast
from my_submission.separators import ConditionedSeparator, Piece, Separator, SpectralSeparator
from my_submission.stems import Waveform

Benefit = Callable[[int, int], float]
"""What it brings to estimate the samples [start, stop); only the order of two values means something."""


@dataclass(frozen=True)
class Unit:
    """One run of an engine: computed anywhere, then put into a layer.

    Attributes:
        work: what it belongs to.
        audio_seconds: how much audio goes through the network.
        compute: does the work; it changes nothing, so that its result may be thrown away.
        commit: puts the result of ``compute`` in its place.
        first_sample: the first of the song's samples that ``commit`` may change; None where it changes no stem.
        drop: to be called instead of ``commit`` where the result came too late: gives the work back.
    """

    work: Work
    audio_seconds: float
    compute: Callable[[], Any]
    commit: Callable[[Any], None]
    first_sample: int | None
    drop: Callable[[], None] = lambda: None


class Work(Protocol):
    """All units of one separator for one song.

    Attributes:
        name: shown in events and reports.
        key: what its cost is known by.
        runs_on: where the work is done.
        total_samples: how much of the song there is to do.
    """

    name: str
    key: str
    runs_on: str
    total_samples: int

    @property
    def covered_samples(self) -> int:
        """How much of the song is done."""
        ...

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        ...

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Audio still to go through the network."""
        ...

    def next(self, forecast: Forecast, *, after: int = 0) -> Unit | None:
        """The unit to do now, or None where none would end in time; it counts as begun.

        Args:
            forecast: says what would end in time.
            after: the song's samples before this one must stay as they are.
        """
        ...


class ChunkWork:
    """Chunks of a spectral network, each on its own.

    Args:
        name: of the part.
        key: what its cost is known by.
        separator: estimates the chunks.
        mixture: the song.
        batches: chunks of one run each, in the order of work.
        commit: puts the estimate of one chunk in its place.
    """

    def __init__(
        self,
        name: str,
        key: str,
        separator: SpectralSeparator | ConditionedSeparator,
        mixture: Mixture,
        batches: Sequence[Sequence[ChunkSpan]],
        *,
        commit: Callable[[ChunkSpan, Waveform], None],
    ) -> None:
        self.name = name
        self.key = key
        self.runs_on = separator.runs_on
        self._separator = separator
        self._mixture = mixture
        self.total_samples = sum(span.stop - span.start for batch in batches for span in batch)
        self._batches = list(batches)
        self._commit = commit
        self._done_samples = 0

    @property
    def covered_samples(self) -> int:
        """How much of the song is done."""
        return self._done_samples

    @property
    def is_done(self) -> bool:
        """Whether no chunk is left."""
        return not self._batches

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Audio of the chunks that are left, context included."""
        return sum(_heard_seconds(batch) for batch in self._batches)

    def next(self, forecast: Forecast, *, after: int = 0) -> Unit | None:
        """The next batch, cut to as many chunks as would end in time."""
        index, batch = self._first_after(after)
        if not batch:
            return None
        one = _heard_seconds(batch[:1])
        fitting = int(min(forecast.longest(self.key) / one, len(batch)))
        if not fitting or not forecast.allows(self.key, fitting * one):
            return None
        taken = tuple(batch[:fitting])
        rest = [span for span in self._batches[index] if span not in taken]
        self._batches[index : index + 1] = [rest] if rest else []
        is_last = self.is_done

        def compute() -> list[Waveform]:
            return self._separator.estimates(self._mixture, taken, is_last=is_last)

        def commit(estimates: list[Waveform]) -> None:
            for span, estimate in zip(taken, estimates, strict=True):
                self._commit(span, estimate)
                self._done_samples += span.stop - span.start

        return Unit(
            self, _heard_seconds(taken), compute, commit, taken[0].start, lambda: self._batches.insert(0, taken)
        )

    def _first_after(self, after: int) -> tuple[int, Sequence[ChunkSpan]]:
        """The first batch with chunks that begin at or after a sample, and those; no chunks where there is none."""
        for index, batch in enumerate(self._batches):
            if later := [span for span in batch if span.start >= after]:
                return index, later
        return 0, ()


class SequentialWork:
    """Pieces of any separator, in the order of the song.

    Args:
        name: of the part.
        key: what its cost is known by.
        separator: estimates the pieces.
        mixture: the song.
        layer: where its sources are kept.
    """

    def __init__(self, name: str, key: str, separator: Separator, mixture: Mixture, layer: ChunkLayer) -> None:
        self.name = name
        self.key = key
        self.runs_on = separator.runs_on
        self._separator = separator
        self.total_samples = mixture.samples
        self._mixture = mixture
        self._layer = layer
        self._pieces: Iterator[Piece] | None = None
        self._done = 0
        self._piece_samples = 0

    @property
    def covered_samples(self) -> int:
        """How much of the song is done."""
        return self._done

    @property
    def is_done(self) -> bool:
        """Whether the song's end is reached."""
        return self._done >= self._mixture.samples

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Audio up to the song's end."""
        return (self._mixture.samples - self._done) / SAMPLE_RATE

    def next(self, forecast: Forecast, *, after: int = 0) -> Unit | None:
        """The next piece, taken to be as long as the one before; a first one, as a whole song of ten seconds."""
        if self.is_done or self._done < after:
            return None
        likely = min(self._piece_samples or 10 * SAMPLE_RATE, self._mixture.samples - self._done)
        if not forecast.allows(self.key, likely / SAMPLE_RATE):
            return None
        if self._pieces is None:
            self._pieces = self._separator.pieces(self._mixture)
        pieces = self._pieces

        def commit(piece: Piece) -> None:
            for source, block in piece.stems.items():
                if source in self._layer.stores:
                    self._layer.paint(source, piece.start, block)
            self._piece_samples, self._done = piece.stop - piece.start, piece.stop

        return Unit(self, likely / SAMPLE_RATE, lambda: next(pieces), commit, self._done)


def _heard_seconds(batch: Sequence[ChunkSpan]) -> float:
    return sum(span.context_stop - span.context_start for span in batch) / SAMPLE_RATE


def chunk_batches(
    separator: SpectralSeparator, samples: int, *, benefit: Benefit | None, is_shifted: bool = False
) -> list[tuple[ChunkSpan, ...]]:
    """The chunks of a song in batches of the separator's size.

    Args:
        separator: its chunking and batch size count.
        samples: length of the song.
        benefit: puts the batches that bring most first; the song's own order when None.
        is_shifted: the chunks half-way between the published ones, to be averaged with them.
    """
    chunking = separator.chunking
    if is_shifted:
        starts = range(chunking.kept_samples // 2, samples, chunking.stride_samples)
        spans = [chunking.span_at(start, samples) for start in starts]
    else:
        spans = list(chunking.spans(samples))
    return in_batches(spans, separator.batch_chunks, benefit=benefit)


def in_batches(spans: Sequence[ChunkSpan], size: int, *, benefit: Benefit | None) -> list[tuple[ChunkSpan, ...]]:
    """Neighbouring chunks in batches of up to ``size``, as many in each as in the others or one fewer.

    Those that bring most come first; they stay in their own order when ``benefit`` is None.
    """
    n_batches = -(-len(spans) // size)
    bounds = [number * len(spans) // n_batches for number in range(n_batches + 1)] if spans else []
    batches = [tuple(spans[first:stop]) for first, stop in pairwise(bounds)]
    if benefit is not None:
        batches.sort(key=lambda batch: -benefit(batch[0].start, batch[-1].stop) / len(batch))
    return batches


def rehearsal(work: Work, audio_seconds: float, rehearse: Callable[[], Any], forecast: Forecast) -> Unit | None:
    """A small share of a unit, to learn what one costs before committing to it; None where even that would be late."""
    if not forecast.allows(work.key, audio_seconds):
        return None
    return Unit(work, audio_seconds, rehearse, lambda _: None, first_sample=None)
