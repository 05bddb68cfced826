"""Systems that stay loaded between songs: the default one, and the last other one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from my_submission.geometry import SAMPLE_RATE
from my_submission.predictor import Predictor

LoadPredictor = Callable[[str, tuple[str, ...]], Predictor]
"""Loads the predictor of a system by name, for some stems."""


class LoadedSystems:
    """Keeps two predictors at most, because more may not fit into memory.

    Args:
        load: loads the predictor of a system by name, for some stems.
        default: name of the default system, which is small.
        is_small: whether a system, by name, loads quickly.
    """

    def __init__(self, load: LoadPredictor, *, default: str, is_small: Callable[[str], bool]) -> None:
        self.default = default
        self._load, self._is_small = load, is_small
        self._loaded: dict[bool, tuple[tuple[str, tuple[str, ...]], Predictor]] = {}

    def is_loaded(self, system: str, stems: tuple[str, ...]) -> bool:
        """Return whether a system is loaded for these stems."""
        found = self._loaded.get(system == self.default)
        return found is not None and found[0] == (system, stems)

    def prepare(self, system: str, stems: tuple[str, ...]) -> None:
        """Load a system and run its networks on a second of silence, because first runs also reserve memory.

        The arithmetic is still chosen by the first batch that is not silent.
        """
        loaded = self.get(system, stems).system
        Predictor(loaded).separate(np.zeros((2, SAMPLE_RATE), np.float32))  # its costs are not kept

    def needs_preview(self, system: str, stems: tuple[str, ...]) -> bool:
        """Return whether the default system is much faster than this one; a large system is not loaded to find out.

        A small system is loaded; it needs no preview if it works through the song from start to end.
        """
        if system == self.default:
            return False
        is_known = self.is_loaded(system, stems) or self._is_small(system)
        return not (is_known and self.get(system, stems).is_streamable)

    def get(self, system: str, stems: tuple[str, ...]) -> Predictor:
        """Return the predictor of a system for some stems; MdxError if it cannot be loaded."""
        place = system == self.default
        if not self.is_loaded(system, stems):
            self._loaded.pop(place, None)  # freed before the next one is loaded
            self._loaded[place] = (system, stems), self._load(system, stems)
        return self._loaded[place][1]
