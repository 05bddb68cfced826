"""One network for any source on trimmed, overlapping chunks: how the LaSAFT networks are applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from my_submission.audio_io import Mixture
from my_submission.dsp.overlap_add import OverlapAdder
from my_submission.engines import Engine
from my_submission.geometry import ChunkSpan, SpectralChunking
from my_submission.separators.base import Piece
from my_submission.stems import Waveform, unstack_stems


class ConditionedSeparator:
    """Estimates some sources with one conditioned network, all of them in the same run.

    Chunks are cut with real neighbouring context, zeros only beyond the song's ends, run in bounded batches and
    trimmed; where two overlap, every sample is the mean of their estimates, as published.

    The published program errs at the end of a track: a chunk whose kept samples end inside the song, but less than the
    trim before its end, hears zeros after them, and its estimate is added whole to the halves of its neighbours.
    ``legacy`` repeats that, for comparing numbers with the authors'.

    Args:
        sources: what the engine's rows are.
        engine: maps float32 (batch, 2, chunk samples) to (batch, sources, 2, chunk samples).
        chunking: the network's chunks.
        batch_chunks: chunks in one run; memory grows with it.
        legacy: repeat the published fault.
    """

    def __init__(
        self,
        sources: Sequence[str],
        engine: Engine,
        chunking: SpectralChunking,
        *,
        batch_chunks: int = 1,
        legacy: bool = False,
    ) -> None:
        if batch_chunks < 1:
            raise ValueError(f"batch_chunks={batch_chunks} must be at least 1")
        if not sources or len(set(sources)) < len(sources):
            raise ValueError(f"sources={tuple(sources)} must name at least one source, and none twice")
        self._sources = tuple(sources)
        self.engine = engine
        self.chunking = chunking
        self.batch_chunks = batch_chunks
        self.legacy = legacy

    @property
    def sources(self) -> tuple[str, ...]:
        """What the rows of an estimate are."""
        return self._sources

    @property
    def runs_on(self) -> str:
        """Where the network runs."""
        return self.engine.runs_on

    def estimates(self, mixture: Mixture, spans: Sequence[ChunkSpan], *, is_last: bool = False) -> list[Waveform]:
        """The kept samples (sources, 2, stop − start) of some chunks, anywhere in the song, in one run."""
        heard = np.stack([self._heard(mixture, span) for span in spans])
        separated = self.engine.run(heard, is_last=is_last)
        trim = self.chunking.trim_samples
        return [chunk[..., trim:][..., : span.stop - span.start] for span, chunk in zip(spans, separated, strict=True)]

    def pieces(self, mixture: Mixture) -> Iterator[Piece]:
        """One piece a batch of chunks: the samples that no later chunk reaches."""
        chunking, samples = self.chunking, mixture.samples
        adder = OverlapAdder((len(self._sources), 2), chunking.kept_samples)
        weights = np.ones(chunking.kept_samples, np.float32)
        spans = chunking.spans(samples)
        while batch := tuple(islice(spans, self.batch_chunks)):
            blocks = []
            estimates = self.estimates(mixture, batch, is_last=batch[-1].stop == samples)
            for span, estimate in zip(batch, estimates, strict=True):
                kept = span.stop - span.start
                adder.add(self._weighed(estimate, span, samples), weights[:kept])
                blocks.append(adder.take(kept if span.stop == samples else chunking.stride_samples))
            joined = np.concatenate(blocks, axis=-1)
            start = batch[0].start
            yield Piece(start, start + joined.shape[-1], unstack_stems(joined, self._sources))

    def rehearse(self) -> float:
        """Nothing is smaller than a chunk: the network's frames are fixed."""
        return 0.0

    def _heard(self, mixture: Mixture, span: ChunkSpan) -> Waveform:
        heard = mixture.store.read(span.context_start, span.context_stop)
        if self._errs_at(span, mixture.samples):
            heard[:, self.chunking.trim_samples + self.chunking.kept_samples :] = 0
        return heard

    def _weighed(self, estimate: Waveform, span: ChunkSpan, samples: int) -> Waveform:
        """The estimate, doubled by the published fault where it meets a neighbour: a mean of two makes it whole."""
        overlap = self.chunking.overlap_samples
        if not overlap or not self._errs_at(span, samples):
            return estimate
        doubled = estimate.copy()
        if span.start > 0:
            doubled[..., :overlap] *= 2
        if span.stop < samples:
            doubled[..., -overlap:] *= 2
        return doubled

    def _errs_at(self, span: ChunkSpan, samples: int) -> bool:
        """Whether the published program mistreats this chunk, and we are to do the same."""
        kept_stop = span.start + self.chunking.kept_samples
        return self.legacy and kept_stop <= samples < kept_stop + self.chunking.trim_samples
