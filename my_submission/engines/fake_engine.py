"""An engine without a network, for tests of everything around one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from my_submission.engines.base import Batch


@dataclass
class FakeEngine:
    """Applies a function and records the shapes of its batches.

    Attributes:
        function: maps a batch to a batch; the identity by default.
        shapes: shape of every batch so far.
        n_last: number of runs with ``is_last``.
    """

    function: Callable[[Batch], Batch] = field(default=lambda batch: batch.copy())
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    n_last: int = 0

    @property
    def runs_on(self) -> str:
        """A placeholder."""
        return "fake"

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Apply the function."""
        self.n_last += is_last
        self.shapes.append(batch.shape)
        return self.function(batch)
