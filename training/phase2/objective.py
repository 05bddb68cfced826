"""Objective of the Mixer: the weighted squared error over windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.phase2.statistics import MixerStatistics, total

SILENCE = 1e-9
"""Minimum energy that a song is divided by."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Weights of songs and channels in the squared error; the defaults are the published ones.

    Attributes:
        is_equal: weigh all songs equally; otherwise loud and long songs have more weight.
        is_mirrored: add every song with left and right swapped, so that the Mixer treats both alike.
    """

    is_equal: bool = False
    is_mirrored: bool = False

    def windows(self, songs: Sequence[Sequence[MixerStatistics]]) -> list[MixerStatistics]:
        """Return the weighted windows of all songs."""
        weighted = [window.scaled(w) for song, w in zip(songs, self._weights(songs), strict=True) for window in song]
        return [window.mirrored() for window in weighted] if self.is_mirrored else weighted

    def _weights(self, songs: Sequence[Sequence[MixerStatistics]]) -> list[float]:
        """Return the weight of every song, about 1 for mean energy."""
        if not self.is_equal:
            return [1.0] * len(songs)
        energies = [total(song).mixture_energy for song in songs]
        return [float(np.mean(energies)) / max(SILENCE, energy) for energy in energies]


AS_PUBLISHED = Objective()
SONGS_EQUAL = Objective(is_equal=True, is_mirrored=True)
"""Objective for few songs of different loudness."""
