"""Systems that stay loaded between songs: the default one, and the last other one."""

from __future__ import annotations

from collections.abc import Callable

from my_submission.predictor import Predictor

LoadPredictor = Callable[[str, tuple[str, ...]], Predictor]
"""Loads the predictor of a system by name, for some stems."""


class LoadedSystems:
    """Keeps two predictors at most, because more may not fit into memory.

    Args:
        load: loads the predictor of a system by name, for some stems.
        default: name of the default system, which is small.
    """

    def __init__(self, load: LoadPredictor, *, default: str) -> None:
        self.default = default
        self._load = load
        self._loaded: dict[bool, tuple[tuple[str, tuple[str, ...]], Predictor]] = {}

    def is_loaded(self, system: str, stems: tuple[str, ...]) -> bool:
        """Return whether a system is loaded for these stems."""
        found = self._loaded.get(system == self.default)
        return found is not None and found[0] == (system, stems)

    def get(self, system: str, stems: tuple[str, ...]) -> Predictor:
        """Return the predictor of a system for some stems; MdxError where it cannot be loaded."""
        place = system == self.default
        if not self.is_loaded(system, stems):
            self._loaded.pop(place, None)  # freed before the next one is loaded
            self._loaded[place] = (system, stems), self._load(system, stems)
        return self._loaded[place][1]
