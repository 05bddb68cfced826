"""Cascades: the mixture minus the stems that are already estimated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from my_submission.audio_io import Mixture
from my_submission.blending.blender import StemBlender
from my_submission.stems import Waveform


class ResidualStore:
    """Read-only samples of a song minus the estimates so far.

    Args:
        earlier: blends the sources to subtract; samples that are not estimated yet stay as they are in the mixture.
    """

    def __init__(self, earlier: StemBlender) -> None:
        self._earlier = earlier
        self._mixture = earlier.mixture.store

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
            part = residual[:, inside[0] - start : inside[1] - start]
            for stem in self._earlier.known_estimates(part, *inside).values():
                np.subtract(part, stem, out=part)
        return residual

    def write(self, start: int, block: Waveform) -> None:
        """Raise TypeError: a residual follows from the estimates."""
        raise TypeError("a residual cannot be written")

    def close(self) -> None:
        """Do nothing: the mixture keeps its store."""


def residual_mixture(earlier: StemBlender) -> Mixture:
    """Return the mixture minus the estimates so far, for mechanisms that need no statistics of it."""
    return replace(earlier.mixture, store=ResidualStore(earlier))
