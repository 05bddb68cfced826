"""One network a source on trimmed chunks: how the KUIELab-MDX-Net networks are applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice

import numpy as np

from my_submission.audio_io import Mixture
from my_submission.dsp.overlap_add import OverlapAdder, trapezoid
from my_submission.engines import Engine
from my_submission.geometry import ChunkSpan, SpectralChunking
from my_submission.separators.base import Piece
from my_submission.stems import Waveform


class SpectralSeparator:
    """Estimates one source with a spectral network.

    Chunks of the network's own length are cut with real neighbouring context, run in bounded batches, trimmed and
    laid end to end, or cross-faded where they overlap. The published arithmetic is that of
    :class:`~my_submission.geometry.SpectralChunking`.

    Args:
        source: what the network estimates.
        engine: maps float32 (batch, 2, chunk samples) to the same shape.
        chunking: the network's chunks.
        batch_chunks: chunks in one run; memory grows with it.
    """

    def __init__(self, source: str, engine: Engine, chunking: SpectralChunking, *, batch_chunks: int = 1) -> None:
        if batch_chunks < 1:
            raise ValueError(f"batch_chunks={batch_chunks} must be at least 1")
        self.source = source
        self.engine = engine
        self.chunking = chunking
        self.batch_chunks = batch_chunks

    @property
    def sources(self) -> tuple[str, ...]:
        """The one source."""
        return (self.source,)

    @property
    def runs_on(self) -> str:
        """Where the network runs."""
        return self.engine.runs_on

    def estimates(self, mixture: Mixture, spans: Sequence[ChunkSpan], *, is_last: bool = False) -> list[Waveform]:
        """The kept samples (2, stop − start) of some chunks, anywhere in the song: one run for those of one length."""
        separated: list[Waveform] = []
        runs = [list(run) for _, run in groupby(spans, lambda span: span.context_stop - span.context_start)]
        for run in runs:
            heard = np.stack([mixture.store.read(span.context_start, span.context_stop) for span in run])
            separated.extend(self.engine.run(heard, is_last=is_last and run is runs[-1]))
        trim = self.chunking.trim_samples
        return [chunk[:, trim:][:, : span.stop - span.start] for span, chunk in zip(spans, separated, strict=True)]

    def pieces(self, mixture: Mixture) -> Iterator[Piece]:
        """One piece a batch of chunks: the samples that no later chunk reaches."""
        chunking, samples = self.chunking, mixture.samples
        weights = trapezoid(chunking.kept_samples, chunking.overlap_samples)
        adder = OverlapAdder((2,), chunking.kept_samples)
        spans = chunking.spans(samples)
        while batch := tuple(islice(spans, self.batch_chunks)):
            blocks = []
            estimates = self.estimates(mixture, batch, is_last=batch[-1].stop == samples)
            for span, estimate in zip(batch, estimates, strict=True):
                kept = span.stop - span.start
                adder.add(estimate, weights[:kept])
                blocks.append(adder.take(kept if span.stop == samples else chunking.stride_samples))
            joined = np.concatenate(blocks, axis=-1)
            start = batch[0].start
            yield Piece(start, start + joined.shape[-1], {self.source: joined})

    def rehearse(self) -> float:
        """Nothing is smaller than a chunk: the graph fixes its length."""
        return 0.0
