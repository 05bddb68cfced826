"""Cascades: the mixture minus the stems that are already estimated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from my_submission.audio_io import Mixture, SampleStore
from my_submission.stems import Stems, Waveform


class ResidualStore:
    """Read-only samples of a mixture minus some estimated sources.

    Args:
        mixture: samples of the song.
        read: returns the estimates of the samples [start, stop), zeros where there are none yet.
        minus: the sources to subtract.
    """

    def __init__(self, mixture: SampleStore, read: Callable[[int, int], Stems], minus: Sequence[str]) -> None:
        self._mixture = mixture
        self._read = read
        self._minus = tuple(minus)

    @property
    def channels(self) -> int:
        """Channels of the mixture."""
        return self._mixture.channels

    @property
    def samples(self) -> int:
        """Length of the song, in samples."""
        return self._mixture.samples

    def read(self, start: int, stop: int) -> Waveform:
        """Return a new array float32 (channels, stop − start); zeros outside the song."""
        residual = self._mixture.read(start, stop)
        inside = max(0, start), min(stop, self.samples)
        if inside[0] < inside[1]:
            stems = self._read(*inside)
            part = residual[:, inside[0] - start : inside[1] - start]
            for source in self._minus:
                np.subtract(part, stems[source], out=part)
        return residual

    def write(self, start: int, block: Waveform) -> None:
        """Raise TypeError: a residual follows from the estimates."""
        raise TypeError("a residual cannot be written")

    def close(self) -> None:
        """Do nothing: the mixture keeps its store."""


def residual_mixture(mixture: Mixture, read: Callable[[int, int], Stems], minus: Sequence[str]) -> Mixture:
    """Return the mixture minus some estimated sources, for mechanisms that need no statistics of it."""
    return replace(mixture, store=ResidualStore(mixture.store, read, minus))
