"""Energy of a waveform over time."""

from __future__ import annotations

import numpy as np

from my_submission.audio_io import SampleStore
from my_submission.stems import Waveform

BIN_SAMPLES = 11_025
"""A quarter of a second: shorter than any work item."""

_BLOCK_SAMPLES = 1 << 18


class EnergyProfile:
    """Energy of a waveform in bins of a quarter of a second.

    Args:
        samples: length of the waveform.
    """

    def __init__(self, samples: int) -> None:
        self._bins = np.zeros(-(-samples // BIN_SAMPLES))
        self._edges = np.minimum(np.arange(len(self._bins) + 1) * BIN_SAMPLES, samples)

    @classmethod
    def of(cls, store: SampleStore) -> EnergyProfile:
        """Return the profile of a whole waveform."""
        profile = cls(store.samples)
        for start in range(0, store.samples, _BLOCK_SAMPLES):
            profile.add(start, store.read(start, min(start + _BLOCK_SAMPLES, store.samples)))
        return profile

    def add(self, start: int, block: Waveform) -> None:
        """Add the energy of a block (channels, n) that begins at ``start``."""
        samples = block.shape[-1]
        if not samples:
            return
        first = start // BIN_SAMPLES
        edges = np.arange(first + 1, (start + samples - 1) // BIN_SAMPLES + 1) * BIN_SAMPLES - start
        power = np.einsum("cn,cn->n", block, block)
        sums = np.add.reduceat(power, np.concatenate([[0], edges]), dtype=np.float64)
        self._bins[first : first + len(sums)] += sums

    def between(self, start: int, stop: int) -> float:
        """Return the energy of the samples [start, stop), taken as constant inside a bin."""
        up_to = np.concatenate([[0.0], np.cumsum(self._bins)])
        before, after = np.interp([start, stop], self._edges, up_to)
        return float(after - before)
