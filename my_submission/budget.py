"""Time as a value: nothing below the predictor reads a clock of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from my_submission.errors import MdxError

Clock = Callable[[], float]
"""Seconds from an arbitrary start, never running backwards."""


@dataclass(frozen=True)
class Budget:
    """A deadline and the clock it is measured on.

    Attributes:
        seconds: length of the budget from ``started`` on; infinity means no limit.
        clock: monotonic seconds; tests inject their own.
    """

    seconds: float = math.inf
    clock: Clock = time.monotonic
    started: float = field(default=math.nan)

    def __post_init__(self) -> None:
        if math.isnan(self.seconds) or self.seconds < 0:
            hint = "give seconds, or None for no limit"
            raise MdxError(f"a time limit of {self.seconds} s is not possible", hint=hint)
        if math.isnan(self.started):
            object.__setattr__(self, "started", self.clock())

    @property
    def is_limited(self) -> bool:
        """Whether there is a deadline."""
        return math.isfinite(self.seconds)

    def elapsed(self) -> float:
        """Return the seconds since the budget began."""
        return self.clock() - self.started

    def remaining(self) -> float:
        """Return the seconds left; negative after the deadline."""
        return self.seconds - self.elapsed()

    def late_by(self) -> float:
        """Return the seconds since the deadline; 0 before it and without a limit."""
        return max(0.0, -self.remaining())

    def reserving(self, seconds: float) -> Budget:
        """Return the same budget with its last ``seconds`` set aside for what comes afterwards."""
        return Budget(max(0.0, self.seconds - seconds), self.clock, self.started)
