"""What a Mixer is fitted to: the squared error over windows, and how much each song and channel counts in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.phase2.statistics import MixerStatistics, total

SILENCE = 1e-9
"""Least energy a song is divided by."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The squared error that is minimised; the defaults are those of the published descent.

    Attributes:
        is_equal: songs count the same, whatever their level and length; otherwise every sample does, so that loud and
            long songs count more.
        is_mirrored: every song counts as it is and with left and right swapped, so that the Mixer treats both alike.
    """

    is_equal: bool = False
    is_mirrored: bool = False

    def windows(self, songs: Sequence[Sequence[MixerStatistics]]) -> list[MixerStatistics]:
        """All windows of all songs, as they count."""
        weighed = [window.scaled(w) for song, w in zip(songs, self._weights(songs), strict=True) for window in song]
        return [window.mirrored() for window in weighed] if self.is_mirrored else weighed

    def _weights(self, songs: Sequence[Sequence[MixerStatistics]]) -> list[float]:
        """Of every song's power, about 1 for one of mean energy."""
        if not self.is_equal:
            return [1.0] * len(songs)
        energies = [total(song).mixture_energy for song in songs]
        return [float(np.mean(energies)) / max(SILENCE, energy) for energy in energies]


AS_PUBLISHED = Objective()
SONGS_EQUAL = Objective(is_equal=True, is_mirrored=True)
"""For few songs of different loudness."""
