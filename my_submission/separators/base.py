"""What every separator is: a generator of consecutive pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from my_submission.audio_io import Mixture
from my_submission.stems import Stems


@dataclass(frozen=True)
class Piece:
    """Stems of the samples ``start`` … ``stop`` − 1 of a song, final: no later piece touches them."""

    start: int
    stop: int
    stems: Stems


class Separator(Protocol):
    """Estimates one or more sources of a mixture.

    A separator keeps nothing of a song between calls, so one may serve several songs, one after the other.
    """

    @property
    def sources(self) -> tuple[str, ...]:
        """What it estimates."""
        ...

    @property
    def runs_on(self) -> str:
        """Where the work is done."""
        ...

    def pieces(self, mixture: Mixture) -> Iterator[Piece]:
        """Pieces in order, without gaps, from the first sample to the last; each is computed when asked for."""
        ...

    def rehearse(self) -> float:
        """Do a small, representative share of one piece's work and return that share.

        Lets a planner time the work before it commits to a whole piece. Zero means there is no smaller work.
        """
        ...
