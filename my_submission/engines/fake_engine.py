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
        released: how often :meth:`release` was called.
    """

    function: Callable[[Batch], Batch] = field(default=lambda batch: batch.copy())
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    released: int = 0

    @property
    def runs_on(self) -> str:
        """Nowhere in particular."""
        return "fake"

    def run(self, batch: Batch) -> Batch:
        """Apply the function."""
        self.shapes.append(batch.shape)
        return self.function(batch)

    def release(self) -> None:
        """Count the call."""
        self.released += 1
