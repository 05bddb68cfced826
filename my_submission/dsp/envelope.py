"""Envelope of a waveform: its minimum and maximum in every column of a picture, or in bins of a fixed length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from my_submission.stems import Waveform


@dataclass(frozen=True)
class Envelope:
    """Minimum and maximum over all channels, float32 (columns,) each."""

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]

    def as_pairs(self, full_scale: int) -> npt.NDArray[np.int16]:
        """Return the pairs (minimum, maximum) as little-endian int16 (columns, 2); ``full_scale`` stands for 1.0.

        Values beyond the range of int16 are clipped; NaN becomes 0.
        """
        pairs = np.rint(np.stack([self.low, self.high], axis=1) * np.float32(full_scale))
        whole: npt.NDArray[np.int16] = np.nan_to_num(np.clip(pairs, -(2**15), 2**15 - 1)).astype("<i2")
        return whole


class EnvelopeAccumulator:
    """Accumulates an envelope from consecutive blocks.

    Args:
        samples: length of the whole signal.
        columns: columns of the picture; at most ``samples`` are used.
    """

    def __init__(self, samples: int, *, columns: int) -> None:
        self._columns = min(columns, samples)
        # Column c contains the samples i with i · columns // samples == c.
        self._edges = -(-np.arange(self._columns + 1, dtype=np.int64) * samples // self._columns)
        self._low = np.full(self._columns, np.inf, np.float32)
        self._high = np.full(self._columns, -np.inf, np.float32)
        self._position = 0

    def push(self, block: Waveform) -> None:
        """Add the next block (channels, n)."""
        start, stop = self._position, self._position + block.shape[1]
        first = int(np.searchsorted(self._edges, start, side="right")) - 1
        last = int(np.searchsorted(self._edges, stop, side="left"))
        if stop == start:
            return
        cuts = np.maximum(self._edges[first:last], start) - start
        low, high = block.min(axis=0), block.max(axis=0)
        self._low[first:last] = np.minimum(self._low[first:last], np.minimum.reduceat(low, cuts))
        self._high[first:last] = np.maximum(self._high[first:last], np.maximum.reduceat(high, cuts))
        self._position = stop

    def result(self) -> Envelope:
        """Return the envelope of all blocks; columns without samples are zero."""
        is_filled = np.isfinite(self._low)
        return Envelope(np.where(is_filled, self._low, 0), np.where(is_filled, self._high, 0))


class BinnedEnvelope:
    """Envelope in bins of a fixed length, of a signal whose end is not known yet.

    Args:
        bin_samples: samples in a bin.
    """

    def __init__(self, bin_samples: int) -> None:
        if bin_samples < 1:
            raise ValueError(f"bin_samples={bin_samples} must be at least 1")
        self._bin_samples = bin_samples
        self._low = self._high = np.zeros(0, np.float32)

    def push(self, block: Waveform) -> Envelope:
        """Take the next block (channels, n) and return the bins that it completes."""
        low = np.concatenate([self._low, block.min(axis=0)])
        high = np.concatenate([self._high, block.max(axis=0)])
        whole = len(low) - len(low) % self._bin_samples
        self._low, self._high = low[whole:].copy(), high[whole:].copy()
        shape = (-1, self._bin_samples)
        return Envelope(low[:whole].reshape(shape).min(axis=1), high[:whole].reshape(shape).max(axis=1))

    def finish(self) -> Envelope:
        """Return the last, shorter bin, if there is one."""
        low, high = self._low, self._high
        self._low = self._high = np.zeros(0, np.float32)
        return Envelope(low.min(keepdims=True), high.max(keepdims=True)) if len(low) else Envelope(low, high)
