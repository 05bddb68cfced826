"""Chunks of networks that take a fixed number of frames, as a stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise

import numpy as np

from my_submission.audio_io import Mixture
from my_submission.engines import Engine
from my_submission.geometry import SAMPLE_RATE, ChunkSpan, SpectralChunking, WindowedChunking
from my_submission.planning import Benefit, Forecast, Stage, WorkItem
from my_submission.stems import Waveform

BYTES_PER_BIN_AND_FRAME = 600
"""Working memory of a chunk: the published networks (2048 bins, 512 frames, 32 channels) need 623 MB; narrower ones
less."""

TRANSFORM_BYTES_PER_SAMPLE_AND_FRAME = 50
"""Memory of the transforms on a GPU, per sample of n_fft and frame of a chunk: the spectrum and its copy, the frames
and their products with the window, of two channels, counted from their shapes."""


class ChunkStage(Stage):
    """Chunks of a network, each independent of the others.

    Args:
        engine: the network, from chunks (batch, 2, samples) to estimates (batch, …, 2, samples).
        mixture: the song.
        batches: chunks of one run each, in the order of work.
        commit: puts the estimate of one chunk in its place.
    """

    def __init__(
        self,
        name: str,
        cost_key: str,
        engine: Engine,
        mixture: Mixture,
        batches: Sequence[Sequence[ChunkSpan]],
        *,
        commit: Callable[[ChunkSpan, Waveform], None],
    ) -> None:
        total_samples = sum(span.stop - span.start for batch in batches for span in batch)
        super().__init__(name, cost_key, engine.runs_on, total_samples)
        self._engine = engine
        self._mixture = mixture
        self._batches = list(batches)
        self._commit = commit
        self._done_samples = 0

    @property
    def covered_samples(self) -> int:
        """Samples of the chunks that are done."""
        return self._done_samples

    @property
    def is_done(self) -> bool:
        """Whether no chunk is left."""
        return not self._batches

    @property
    def final_samples(self) -> int:
        """First sample of the first chunk that is left, where chunks are in the order of the song."""
        return self._batches[0][0].start if self._batches else self._mixture.samples

    @property
    def input_stop(self) -> int:
        """End of the context of the next batch."""
        return self._batches[0][-1].context_stop if self._batches else self._mixture.samples

    def audio_seconds_left(self, forecast: Forecast) -> float:
        """Return the audio of the chunks that are left, context included."""
        return sum(_input_seconds(batch) for batch in self._batches)

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        """Return the next batch, cut to as many chunks as would end in time."""
        index, batch = self._first_after(after)
        if not batch:
            return None
        one = _input_seconds(batch[:1])
        fitting = int(min(forecast.longest(self.cost_key) / one, len(batch)))
        if not fitting or not forecast.allows(self.cost_key, fitting * one):
            return None
        taken = tuple(batch[:fitting])
        rest = [span for span in self._batches[index] if span not in taken]
        self._batches[index : index + 1] = [rest] if rest else []
        is_last = self.is_done

        def compute() -> list[Waveform]:
            return chunk_estimates(self._engine, self._mixture, taken, is_last=is_last)

        def commit(estimates: list[Waveform]) -> None:
            for span, estimate in zip(taken, estimates, strict=True):
                self._commit(span, estimate)
                self._done_samples += span.stop - span.start

        def drop() -> None:
            self._batches.insert(0, taken)

        return WorkItem(self, _input_seconds(taken), compute, commit, taken[0].start, drop)

    def _first_after(self, after: int) -> tuple[int, Sequence[ChunkSpan]]:
        """Return the number of the first batch with chunks from a sample on, and those chunks; () if none has."""
        for index, batch in enumerate(self._batches):
            if later := [span for span in batch if span.start >= after]:
                return index, later
        return 0, ()


def _input_seconds(batch: Sequence[ChunkSpan]) -> float:
    return sum(span.context_stop - span.context_start for span in batch) / SAMPLE_RATE


def chunk_estimates(
    engine: Engine, mixture: Mixture, spans: Sequence[ChunkSpan], *, is_last: bool = False
) -> list[Waveform]:
    """Return the kept samples (…, 2, stop − start) of chunks anywhere in the song; one run per chunk length."""
    separated: list[Waveform] = []
    runs = [list(run) for _, run in groupby(spans, lambda span: span.context_stop - span.context_start)]
    for run in runs:
        batch = np.stack([mixture.store.read(span.context_start, span.context_stop) for span in run])
        separated.extend(engine.run(batch, is_last=is_last and run is runs[-1]))
    return [
        chunk[..., span.start - span.context_start : span.stop - span.context_start]
        for span, chunk in zip(spans, separated, strict=True)
    ]


def shifted_spans(chunking: SpectralChunking, samples: int) -> list[ChunkSpan]:
    """Return the chunks half-way between the published ones of a song of ``samples`` samples."""
    starts = range(chunking.kept_samples // 2, samples, chunking.stride_samples)
    return [chunking.span_at(start, samples) for start in starts]


def in_batches(spans: Sequence[ChunkSpan], size: int, *, benefit: Benefit | None) -> list[tuple[ChunkSpan, ...]]:
    """Return neighbouring chunks in batches of up to ``size``, all of one size or one chunk smaller.

    The batches of most benefit per chunk come first; without ``benefit`` they stay in the order of the song.
    """
    n_batches = -(-len(spans) // size)
    bounds = [number * len(spans) // n_batches for number in range(n_batches + 1)] if spans else []
    batches = [tuple(spans[first:stop]) for first, stop in pairwise(bounds)]
    if benefit is not None:
        batches.sort(key=lambda batch: -benefit(batch[0].start, batch[-1].stop) / len(batch))
    return batches


def chunk_bytes(chunking: SpectralChunking | WindowedChunking) -> int:
    """Return the bytes that a chunk needs inside its network."""
    return BYTES_PER_BIN_AND_FRAME * chunking.stft.kept_bins * chunking.frames


def chunk_device_bytes(chunking: SpectralChunking | WindowedChunking) -> int:
    """Return the bytes that a chunk needs on a GPU, transforms included."""
    return chunk_bytes(chunking) + TRANSFORM_BYTES_PER_SAMPLE_AND_FRAME * chunking.stft.n_fft * chunking.frames
