"""Envelope of a waveform: its minimum and maximum in every column of a picture."""

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


class EnvelopeAccumulator:
    """Accumulates an envelope from consecutive blocks.

    Args:
        samples: length of the whole signal.
        columns: columns of the picture; at most ``samples`` are used.
    """

    def __init__(self, samples: int, *, columns: int) -> None:
        self._columns = min(columns, samples)
        # Column c holds the samples i with i · columns // samples == c.
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
