"""Time as a value that is handed down: nobody below the predictor reads a clock of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]
"""Seconds from an arbitrary start, never running backwards."""


@dataclass(frozen=True)
class Budget:
    """A deadline and the clock it is measured on.

    Attributes:
        seconds: how long the work may take from ``started`` on; infinity means there is no limit.
        clock: monotonic seconds; tests inject their own.
    """

    seconds: float = math.inf
    clock: Clock = time.monotonic
    started: float = field(default=math.nan)

    def __post_init__(self) -> None:
        if math.isnan(self.seconds) or self.seconds < 0:
            raise ValueError(f"a budget of {self.seconds} seconds is not a length of time")
        if math.isnan(self.started):
            object.__setattr__(self, "started", self.clock())

    @property
    def is_limited(self) -> bool:
        """Whether there is a deadline at all."""
        return math.isfinite(self.seconds)

    def elapsed(self) -> float:
        """Seconds since the budget was made."""
        return self.clock() - self.started

    def remaining(self) -> float:
        """Seconds left; negative once the deadline has passed."""
        return self.seconds - self.elapsed()

    def late_by(self) -> float:
        """Seconds since the deadline; zero before it, and where there is none."""
        return max(0.0, -self.remaining())

    def allows(self, seconds: float) -> bool:
        """Whether work that takes ``seconds`` from now on would still end in time."""
        return self.remaining() >= seconds

    def reserving(self, seconds: float) -> Budget:
        """The same clock and start, with the last ``seconds`` set aside for what comes afterwards."""
        return Budget(max(0.0, self.seconds - seconds), self.clock, self.started)
