"""Layers of estimates: what one branch of a system has found out so far, anywhere in the song."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

from my_submission.audio_io import SampleStore
from my_submission.geometry import SegmentGrid
from my_submission.planning.coverage import FADE_SAMPLES, Coverage
from my_submission.planning.energy import EnergyProfile
from my_submission.separators.waveform import segment_weights
from my_submission.stems import Stems, Waveform

_weights = lru_cache(maxsize=4)(segment_weights)
"""Of the few lengths a song needs, seven megabytes at the published one; nobody changes them."""

PIECE_SAMPLES = 1 << 15
"""Segments are added up in pieces that stay in a processor's cache: a quarter of a megabyte each."""

Stores = Mapping[str, SampleStore]
"""Source to a store of two channels, as long as the song."""


class Layer(Protocol):
    """Estimates of some sources, with what they cover."""

    @property
    def coverage(self) -> Mapping[str, Coverage]:
        """Source to the samples that are estimated."""
        ...

    def read(self, start: int, stop: int) -> Stems:
        """Estimates of every source; finite everywhere, meaningful where they are covered."""
        ...

    def degree(self, source: str, start: int, stop: int) -> Waveform | float:
        """How surely samples are covered, 0 … 1; a number where it is the same for all of them."""
        ...


class ChunkLayer:
    """Estimates that are laid end to end, source by source.

    Args:
        stores: where they are kept.
        samples: length of the song.
        fade_samples: ramp of the coverage; two of them should fit a chunk.
    """

    def __init__(self, stores: Stores, samples: int, *, fade_samples: int = FADE_SAMPLES) -> None:
        self.stores = dict(stores)
        self.coverage = {source: Coverage(samples, fade_samples=fade_samples) for source in stores}
        self.energy = {source: EnergyProfile(samples) for source in stores}

    def paint(self, source: str, start: int, block: Waveform) -> None:
        """Set the estimate of some samples for the first time."""
        self.stores[source].write(start, block)
        self.energy[source].add(start, block)
        self.coverage[source].add(start, start + block.shape[-1])

    def fade_in(self, source: str, start: int, block: Waveform, weights: Waveform) -> None:
        """Replace the share ``weights`` (n,) of the estimate by another one; weights of zero change nothing."""
        before = self.stores[source].read(start, start + block.shape[-1])
        self.stores[source].write(start, before + weights * (block - before))

    def read(self, start: int, stop: int) -> Stems:
        """Estimates of every source."""
        return {source: store.read(start, stop) for source, store in self.stores.items()}

    def degree(self, source: str, start: int, stop: int) -> Waveform | float:
        """How surely samples are covered."""
        return self.coverage[source].degree(start, stop)


class SegmentLayer:
    """Segments of all sources, added up under the weights of a grid in whatever order they come.

    Every segment fades to nothing at its ends, so any set of them, on any grid, joins without a step.

    Args:
        stores: where the weighted sums are kept.
        samples: length of the song.
        centre_and_scale: what the network's mixture was centred and divided by.
        grid: says which weights a segment has.
        fade_samples: ramp of the coverage; two of them should fit the smallest overlap.
    """

    def __init__(
        self,
        stores: Stores,
        samples: int,
        *,
        centre_and_scale: tuple[float, float],
        grid: SegmentGrid,
        fade_samples: int = FADE_SAMPLES,
    ) -> None:
        self._grid = grid
        self.stores = dict(stores)
        self._covered = Coverage(samples, fade_samples=fade_samples)
        self.coverage = dict.fromkeys(stores, self._covered)
        self._mean, self._std = (np.float32(value) for value in centre_and_scale)
        self._segments: list[tuple[int, int, int]] = []

    def add(self, offset: int, rows: Waveform, order: Sequence[str], *, full_samples: int) -> None:
        """Add a segment.

        Args:
            offset: where its weights begin; before the song they belong to no sample.
            rows: normalised estimates (sources, 2, n) of its samples inside the song.
            order: sources of the rows.
            full_samples: length that the weights are laid over; a segment cut by the song's end uses the left part.
        """
        start, stop = max(0, offset), max(0, offset) + rows.shape[-1]
        weight = _weights(self._grid, full_samples)[start - offset : stop - offset]
        for source, row in zip(order, rows, strict=True):
            for low in range(start, stop, PIECE_SAMPLES):
                piece = slice(low - start, min(low + PIECE_SAMPLES, stop) - start)
                added = self.stores[source].read(low, start + piece.stop)
                added += weight[piece] * row[:, piece]
                self.stores[source].write(low, added)
        self._segments.append((offset, stop, full_samples))
        self._covered.add(start, stop)

    def read(self, start: int, stop: int) -> Stems:
        """Weighted means of every source; the song's centre where there is no segment."""
        weights = np.zeros(stop - start, np.float32)
        for offset, _, low, high, full in self._touching(start, stop):
            weights[low - start : high - start] += _weights(self._grid, full)[low - offset : high - offset]
        weights[weights == 0] = 1
        stems = {source: store.read(start, stop) for source, store in self.stores.items()}
        for stem in stems.values():
            np.divide(stem, weights, out=stem)
            np.multiply(stem, self._std, out=stem)
            np.add(stem, self._mean, out=stem)
        return stems

    def degree(self, source: str, start: int, stop: int) -> Waveform | float:
        """How surely samples are covered: where segments merely touch, less than in the middle of one."""
        if any(self._covered.is_within((offset, end), start, stop) for offset, end, _ in self._segments):
            return 1.0
        degree = np.zeros(stop - start, np.float32)
        for offset, end, low, high, _ in self._touching(start, stop):
            degree[low - start : high - start] += self._covered.ramps(offset, end, low, high)
        np.minimum(degree, 1, out=degree)
        least = float(degree.min(initial=1.0))
        return least if least == degree.max(initial=0.0) else degree

    def _touching(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int, int]]:
        """Begin, end, first and last common sample, and weights' length of every segment that reaches into the span."""
        for offset, end, full in self._segments:
            low, high = max(start, offset, 0), min(stop, end)
            if low < high:
                yield offset, end, low, high, full
