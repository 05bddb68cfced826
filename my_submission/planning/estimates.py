"""Estimate buffers: the estimates of one branch so far, anywhere in the song."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

from my_submission.audio_io import SampleStore
from my_submission.errors import WeightsError
from my_submission.fade_weights import Weights
from my_submission.planning.coverage import FADE_SAMPLES, Coverage
from my_submission.planning.energy import EnergyProfile
from my_submission.stems import Stems, Waveform

PIECE_SAMPLES = 1 << 15
"""Segments are added in pieces of 256 KiB, which stay in the processor's cache."""


class Window(Protocol):
    """Gives the weights of segments; equal ones have equal hashes."""

    def weights(self, samples: int) -> Weights:
        """Return the weights of a segment of ``samples`` samples, float32 (samples,)."""
        ...

    def __hash__(self) -> int:
        """Return a hash, so that weights are computed once."""
        ...


@lru_cache(maxsize=4)
def _weights(grid: Window, samples: int) -> Weights:
    """Return read-only weights of a segment. A song has few lengths; weights of 40 s take 7 MB."""
    return grid.weights(samples)


Stores = Mapping[str, SampleStore]
"""Source to a store of two channels, as long as the song."""


def refuse_not_finite(source: str, estimate: Waveform) -> None:
    """Raise if an estimate contains NaN or infinity, which would spread to every stem of the blend.

    Raises:
        WeightsError: it does; the message names the source.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        is_finite = np.isfinite(estimate.sum()) or np.isfinite(estimate).all()
    if not is_finite:
        raise WeightsError(
            f"the network that estimates {source} gives NaN or infinity",
            hint="check its weights with `verify`, or separate with --precision fp32",
        )


class EstimateBuffer(Protocol):
    """Estimates of some sources, and the samples that they cover."""

    @property
    def coverage(self) -> Mapping[str, Coverage]:
        """Source to the samples that are estimated."""
        ...

    def read(self, start: int, stop: int) -> Stems:
        """Return estimates of every source, finite everywhere; they are meaningful only where they are covered."""
        ...

    def degree(self, source: str, start: int, stop: int) -> Waveform | float:
        """Return the degree of coverage, 0 … 1; a number if it is the same for all samples."""
        ...

    def energy_between(self, source: str, start: int, stop: int) -> float | None:
        """Return the energy of the estimate of [start, stop); None unless the source is covered in the whole song."""
        ...


class ChunkBuffer:
    """Estimates that are laid end to end, source by source.

    Args:
        stores: source to its store.
        samples: length of the song.
        fade_samples: ramp of the coverage; two ramps should fit into a chunk.
    """

    def __init__(self, stores: Stores, samples: int, *, fade_samples: int = FADE_SAMPLES) -> None:
        self.stores = dict(stores)
        self.coverage: Mapping[str, Coverage] = {
            source: Coverage(samples, fade_samples=fade_samples) for source in stores
        }
        self.energy = {source: EnergyProfile(samples) for source in stores}

    def write(self, source: str, start: int, block: Waveform) -> None:
        """Set the estimate of some samples for the first time; raise WeightsError if it is not finite."""
        refuse_not_finite(source, block)
        self.stores[source].write(start, block)
        self.energy[source].add(start, block)
        self.coverage[source].add(start, start + block.shape[-1])

    def fade_in(self, source: str, start: int, block: Waveform, weights: Waveform) -> None:
        """Replace the share ``weights`` (n,) of the estimate by another one; weights of zero change nothing."""
        refuse_not_finite(source, block)
        before = self.stores[source].read(start, start + block.shape[-1])
        self.stores[source].write(start, before + weights * (block - before))

    def average(self, source: str, start: int, block: Waveform) -> None:
        """Replace the estimate of some samples by its mean with another one."""
        before = self.stores[source].read(start, start + block.shape[-1])
        self.stores[source].write(start, (before + block) / np.float32(2))

    def read(self, start: int, stop: int) -> Stems:
        """Return estimates of every source."""
        return {source: store.read(start, stop) for source, store in self.stores.items()}

    def degree(self, source: str, start: int, stop: int) -> Waveform | float:
        """Return the degree of coverage, 0 … 1."""
        return self.coverage[source].degree(start, stop)

    def energy_between(self, source: str, start: int, stop: int) -> float | None:
        """Return the energy of the estimate of [start, stop); None unless the source is covered in the whole song."""
        covered = self.coverage.get(source)
        return self.energy[source].between(start, stop) if covered is not None and covered.is_whole else None


class SegmentBuffer:
    """Segments of all sources, added under the weights of a grid in any order.

    Every segment fades to nothing at its ends, so any set of them, on any grid, joins without a step.

    Args:
        stores: source to the store of its weighted sum.
        samples: length of the song.
        mean_and_std: mean subtracted from the network's input, and standard deviation it was divided by.
        grid: gives the weights of a segment.
        fade_samples: ramp of the coverage; two ramps should fit into the smallest overlap.
    """

    def __init__(
        self,
        stores: Stores,
        samples: int,
        *,
        mean_and_std: tuple[float, float],
        grid: Window,
        fade_samples: int = FADE_SAMPLES,
    ) -> None:
        self._grid = grid
        self.stores = dict(stores)
        self._covered = Coverage(samples, fade_samples=fade_samples)
        self.coverage: Mapping[str, Coverage] = dict.fromkeys(stores, self._covered)
        self._mean, self._std = (np.float32(value) for value in mean_and_std)
        self._segments: list[tuple[int, int, int]] = []

    def add(self, offset: int, rows: Waveform, order: Sequence[str], *, full_samples: int) -> None:
        """Add a segment.

        Args:
            offset: first sample of its weights; negative for a segment that begins before the song.
            rows: normalised estimates (sources, 2, n) of its samples inside the song.
            order: sources of the rows.
            full_samples: length of its weights; a segment cut by the song's end uses their left part.

        Raises:
            WeightsError: the estimate of a source is not finite.
        """
        for source, row in zip(order, rows, strict=True):
            refuse_not_finite(source, row)
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
        """Return weighted means of every source; the mean of the mixture where there is no segment."""
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

    def energy_between(self, source: str, start: int, stop: int) -> float | None:
        """Return None: energies of weighted sums are not kept."""
        return None

    def degree(self, source: str, start: int, stop: int) -> Waveform | float:
        """Return the degree of coverage, 0 … 1: less than in the middle of a segment where two merely touch."""
        if any(self._covered.is_within((offset, end), start, stop) for offset, end, _ in self._segments):
            return 1.0
        degree = np.zeros(stop - start, np.float32)
        for offset, end, low, high, _ in self._touching(start, stop):
            degree[low - start : high - start] += self._covered.ramps(offset, end, low, high)
        np.minimum(degree, 1, out=degree)
        minimum = float(degree.min(initial=1.0))
        return minimum if minimum == degree.max(initial=0.0) else degree

    def _touching(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield offset, end, first and last common sample, and weights' length of every segment in the span."""
        for offset, end, full in self._segments:
            low, high = max(start, offset, 0), min(stop, end)
            if low < high:
                yield offset, end, low, high, full
