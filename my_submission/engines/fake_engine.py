"""Engines that compute nothing or something trivial: for tests of everything around a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from my_submission.engines.base import Batch


@dataclass
class FakeEngine:
    """Applies a function and remembers the shapes it was given.

    Attributes:
        function: maps a batch to a batch; the identity by default.
        shapes: shape of every batch so far.
        n_last: how many batches were said to be the last.
    """

    function: Callable[[Batch], Batch] = field(default=lambda batch: batch.copy())
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    n_last: int = 0

    @property
    def runs_on(self) -> str:
        """Nowhere in particular."""
        return "fake"

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Apply the function."""
        self.n_last += is_last
        self.shapes.append(batch.shape)
        return self.function(batch)
