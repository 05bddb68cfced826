"""A waveform network on long overlapping segments: how Demucs v2 and Hybrid Demucs are applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from my_submission.audio_io import Mixture, MixtureStatistics
from my_submission.dsp.overlap_add import OverlapAdder, trapezoid
from my_submission.engines import DeferredEngine, Engine, SegmentsEngine
from my_submission.geometry import OverlapChunking, Segmentation, SegmentGrid, bounded, segment_grids
from my_submission.separators.base import Piece
from my_submission.stems import Waveform, unstack_stems

Normalisation = Literal["joint", "mono", "none"]
"""What the mixture is centred and scaled by: mean and deviation of both channels together, or of their average."""

_OUT_OF_PHASE_RATIO = 1e-4
"""A mono deviation this far (80 dB) below the joint one says that the channels cancel; dividing by it would blow up."""

_REHEARSED_SHARE = 20
"""A rehearsal takes one part in this many of a segment: two seconds of the published forty."""


SEGMENT_BYTES_PER_SAMPLE = 700
"""A 40-s segment of the published Demucs v2 needs some 1.2 GB beside its weights; narrower ones less. Three together
need half a gigabyte more, and the LSTM's weights, which are let go of then, make up for it."""

SEGMENTS_TOGETHER = 3
"""Demucs' LSTM takes hardly longer for a few segments than for one; each of them costs 0.3 GB, and leaderboard A is to
fit into 2.5 GB. A song of a minute has three."""


class WaveformSeparator:
    """Estimates all sources with one waveform network.

    Segments overlap under a triangular weight or a short cross-fade, or the song is one segment. Each is fed as many
    samples as the network needs to compute it without padding of its own, taken from the song around the segment,
    zeros only beyond the song's ends.

    Args:
        engine: maps float32 (1, 2, n) to (1, sources, 2, n'), n' centred on n, for every n that is a valid length.
        sources: rows of the network's output.
        valid_length: samples to feed for a segment of that many samples.
        chunking: segments and their overlap.
        normalisation: leaderboard A scales by the joint statistics, B by those of the channel average.
        bytes_per_sample: working memory that a sample of a segment takes.

    Attributes:
        most_together: segments of one run, where the engine runs several together.
    """

    def __init__(
        self,
        engine: Engine,
        sources: Sequence[str],
        *,
        valid_length: Callable[[int], int],
        chunking: Segmentation,
        normalisation: Normalisation,
        bytes_per_sample: int = SEGMENT_BYTES_PER_SAMPLE,
    ) -> None:
        self.engine = engine
        self._sources = tuple(sources)
        self.valid_length = valid_length
        self.chunking = chunking
        self.normalisation = normalisation
        self.bytes_per_sample = bytes_per_sample
        self.most_together = SEGMENTS_TOGETHER

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources in the network's order."""
        return self._sources

    @property
    def runs_on(self) -> str:
        """Where the network runs."""
        return self.engine.runs_on

    def pieces(self, mixture: Mixture) -> Iterator[Piece]:
        """One piece a segment: the samples that no later segment reaches."""
        mean, std = centre_and_scale(mixture.statistics, self.normalisation)
        grid = segment_grids(self.chunking, mixture.samples)[0]
        weight = segment_weights(grid, grid.segment_samples)
        adder = OverlapAdder((len(self.sources), 2), grid.segment_samples)
        for offset in grid.offsets(mixture.samples):
            start, after = max(0, offset), offset + grid.stride_samples
            length = min(offset + grid.segment_samples, mixture.samples) - start
            is_last = after >= grid.offsets(mixture.samples).stop
            rows = self.segment(mixture, start, length, is_last=is_last)
            adder.add(rows, weight[start - offset :][:length])
            stop = mixture.samples if is_last else after
            final = adder.take(stop - start) * np.float32(std) + np.float32(mean)
            yield Piece(start, stop, unstack_stems(final, self.sources))

    @property
    def rehearsed_samples(self) -> int:
        """Samples that a rehearsal feeds the network."""
        return self.valid_length(self._rehearsed_length)

    @property
    def _rehearsed_length(self) -> int:
        return max(1, bounded(self.chunking).segment_samples // _REHEARSED_SHARE)

    def rehearse(self, mixture: Mixture | None = None) -> float:
        """Run a twentieth of a segment: from the middle of the song, by which an engine may choose its arithmetic.

        Without a song, or where it is silent there, noise: an engine may have little to do for silence.
        """
        heard = np.zeros((2, self.rehearsed_samples), np.float32)
        if mixture is not None:
            length = self._rehearsed_length
            heard = self._heard(mixture, (mixture.samples - length) // 2, length)
        if not heard.any():
            heard = np.random.default_rng(0).standard_normal(heard.shape, dtype=np.float32)
        self.engine.run(heard[None])
        return self.rehearsed_samples / self.valid_length(bounded(self.chunking).segment_samples)

    def open(self) -> None:
        """Open the network's weights now, where that is put off until they are needed: what runs cost must be known."""
        if isinstance(self.engine, DeferredEngine):
            self.engine.open()

    @property
    def segments_together(self) -> int:
        """How many segments cost clearly less together than one after the other; their memory adds up."""
        return self.most_together if isinstance(self.engine, SegmentsEngine) else 1

    def segment(self, mixture: Mixture, offset: int, length: int, *, is_last: bool = False) -> Waveform:
        """Estimates (sources, 2, length) of one segment, anywhere in the song, still normalised.

        Rows are in the order of ``sources``; ``centre_and_scale`` says how to undo the normalisation.
        """
        separated: Waveform = self.engine.run(self._heard(mixture, offset, length)[None], is_last=is_last)[0]
        return _centred(separated, length)

    def segments(self, mixture: Mixture, spans: Sequence[tuple[int, int]], *, is_last: bool = False) -> list[Waveform]:
        """As :meth:`segment` for several segments (offset, length), together where the engine has a use for that."""
        if len(spans) == 1 or not isinstance(self.engine, SegmentsEngine):
            last = len(spans) - 1
            return [self.segment(mixture, *span, is_last=is_last and at == last) for at, span in enumerate(spans)]
        separated = self.engine.run_together([self._heard(mixture, *span) for span in spans], is_last=is_last)
        return [_centred(one, length) for one, (_, length) in zip(separated, spans, strict=True)]

    def _heard(self, mixture: Mixture, offset: int, length: int) -> Waveform:
        """What the network hears of a segment: normalised, with real context around it."""
        mean, std = centre_and_scale(mixture.statistics, self.normalisation)
        needed = self.valid_length(length)
        start = offset - (needed - length) // 2
        heard: Waveform = (mixture.store.read(start, start + needed) - np.float32(mean)) / np.float32(std)
        # Beyond the song there is silence after the normalisation, not before it.
        heard[:, : max(0, -start)] = 0
        heard[:, max(0, mixture.samples - start) :] = 0
        return heard


def _centred(separated: Waveform, length: int) -> Waveform:
    excess = separated.shape[-1] - length
    return separated[..., excess // 2 : excess // 2 + length]


def triangle(samples: int) -> npt.NDArray[np.float32]:
    """Weights rising from 1/peak to one and falling again, float32 (samples,)."""
    rising = np.arange(1, samples // 2 + 1)
    falling = np.arange(samples - samples // 2, 0, -1)
    weight = np.concatenate([rising, falling]).astype(np.float32)
    normalised: npt.NDArray[np.float32] = weight / weight.max()
    return normalised


def segment_weights(grid: SegmentGrid, samples: int) -> npt.NDArray[np.float32]:
    """Weights of a segment of so many samples: the grid's triangle or cross-fades, float32 (samples,), none zero."""
    if isinstance(grid, OverlapChunking):
        return triangle(samples)
    return trapezoid(samples, min(grid.fade_samples, samples // 2))


def centre_and_scale(statistics: MixtureStatistics, normalisation: Normalisation) -> tuple[float, float]:
    """Mean to subtract and deviation to divide by; the deviation is never zero.

    Where both channels cancel in the average (L = −R), "mono" uses the joint statistics instead of dividing by
    nothing. A silent mixture is divided by one.
    """
    if normalisation == "none":
        return 0.0, 1.0
    mean, std = statistics.joint_mean, statistics.joint_std
    if normalisation == "mono" and statistics.mono_std > _OUT_OF_PHASE_RATIO * std:
        mean, std = statistics.mono_mean, statistics.mono_std
    return mean, std if std > 0 else 1.0
