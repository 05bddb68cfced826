"""What work costs in this very run: what is known from before, corrected by every measurement."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median_low

from my_submission.budget import Budget
from my_submission.planning.calibration import Calibration, Cost

MARGIN = 1.25
"""A unit is begun only if it would still end in time when it takes this much longer than the slowest so far."""

PRIOR_SECONDS_PER_SECOND = 1.0
"""What a second of audio is taken to cost in a part that was never measured: real time, several times what the
published networks need on two cores. The first unit of any network corrects it for all."""

_LATEST_SHARE = 0.5
"""What the latest units count in the typical cost of a run: a machine that becomes busy is noticed in three units."""

MIN_KEPT_SECONDS = 0.5
"""What less audio has cost is not kept for later runs: it is mostly what any run costs, however short the song."""

_ENOUGH_UNITS = 5
"""Of so many units, the slowest may have been a hiccup: it counts in the highest cost only."""

_HIGH_DECAY = 0.9
"""One hiccup must not stop the work many units before the deadline."""


class _Typical:
    """A running value that follows a change in three measurements and no single hiccup.

    Args:
        known: what it was before; None where it never was measured.
    """

    def __init__(self, known: float | None) -> None:
        self.value = 0.0 if known is None else known
        self._latest: deque[float] = deque([] if known is None else [known], maxlen=3)

    def add(self, measured: float) -> None:
        is_first = not self._latest
        self._latest.append(measured)
        self.value += (1.0 if is_first else _LATEST_SHARE) * (median_low(self._latest) - self.value)


@dataclass
class _Measured:
    """Units of one part in this run."""

    cost: _Typical
    is_network: bool
    high: float = 0.0
    seconds: float = 0.0
    audio_seconds: float = 0.0
    n_units: int = 0
    slowest: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def typical(self) -> float:
        return self.cost.value

    @property
    def mean(self) -> float:
        """Over the run, but for its slowest unit where there are enough others."""
        _, seconds, audio_seconds = self.slowest if self.n_units >= _ENOUGH_UNITS else (0.0, 0.0, 0.0)
        return (self.seconds - seconds) / (self.audio_seconds - audio_seconds)

    def add(self, audio_seconds: float, seconds: float) -> None:
        cost = seconds / audio_seconds
        self.cost.add(cost)
        self.high = max(cost, self.typical, _HIGH_DECAY * self.high)
        self.seconds += seconds
        self.audio_seconds += audio_seconds
        self.n_units += 1
        self.slowest = max(self.slowest, (cost, seconds, audio_seconds))


@dataclass
class CostModel:
    """Costs of the parts of one run, in seconds of work a second of audio.

    Args:
        calibration: what earlier runs measured.
    """

    calibration: Calibration
    _measured: dict[str, _Measured] = field(default_factory=dict)
    _slowness: _Typical = field(default_factory=lambda: _Typical(1.0))

    def typical(self, key: str, *, prior: float | None = None) -> float:
        """The likely cost of a part.

        Measured in this run where it was; else known from before, and as much slower as the other parts are; else
        ``prior``, or for a network without one, real time as much corrected as the networks measured so far.
        """
        if key in self._measured:
            return self._measured[key].typical
        if known := self.calibration.get(key):
            return known.typical * self.slowness
        return self._unknown() if prior is None else prior

    def high(self, key: str, *, prior: float | None = None) -> float:
        """A cost of a part that is hardly exceeded."""
        known = self.calibration.get(key)
        if measured := self._measured.get(key):
            before = known.high * self.slowness if known else 0.0
            # Units of this very run say more than the worst of earlier ones.
            return max(measured.high, min(before, 2 * measured.typical))
        return known.high * self.slowness if known else self.typical(key, prior=prior)

    def known(self, key: str) -> float:
        """The likely cost of a part in earlier runs; 0 where there were none."""
        known = self.calibration.get(key)
        return known.typical if known else 0.0

    def knows(self, key: str) -> bool:
        """Whether the cost of a part was ever measured."""
        return key in self._measured or self.calibration.get(key) is not None

    def expected_slowness(self, key: str) -> float:
        """By how much the likely cost of a part is raised because others are slow: not once it was measured itself."""
        is_raised = key not in self._measured and self.calibration.get(key) is not None
        return max(1.0, self.slowness) if is_raised else 1.0

    @property
    def slowness(self) -> float:
        """How much more the parts measured here have cost than they did before; 1 when none was known."""
        return self._slowness.value

    def observe(self, key: str, audio_seconds: float, seconds: float, *, is_network: bool = True) -> None:
        """Take a unit in that was just measured; ``is_network`` is false for reading and writing."""
        if audio_seconds <= 0:
            return
        known = self.calibration.get(key)
        if key not in self._measured:
            # One unit is a noisy measurement: what is known from before is corrected, not thrown away.
            likely = known.typical * self.slowness if known else None
            self._measured[key] = _Measured(_Typical(likely), is_network)
        self._measured[key].add(audio_seconds, max(0.0, seconds))
        if known and known.typical > 0 and seconds > 0:
            self._slowness.add(seconds / audio_seconds / known.typical)

    def keep(self) -> None:
        """Give what was measured, on enough audio, to the calibration."""
        self.calibration.update(
            {
                key: Cost(mean, max(mean, measured.high))
                for key, measured in self._measured.items()
                if measured.audio_seconds >= MIN_KEPT_SECONDS and math.isfinite(mean := measured.mean)
            }
        )

    def _unknown(self) -> float:
        """The cost of a network that was never measured: as much as the dearest that was."""
        return max((one.typical for one in self._measured.values() if one.is_network), default=PRIOR_SECONDS_PER_SECOND)


@dataclass(frozen=True)
class Forecast:
    """Answers whether work would end in time.

    Attributes:
        costs: seconds of work per second of audio.
        budget: how much time there is, what must come afterwards already set aside.
    """

    costs: CostModel
    budget: Budget

    def allows(self, key: str, audio_seconds: float, *, prior: float | None = None) -> bool:
        """Whether a unit would surely end in time; ``prior`` is its cost where none was measured."""
        if not self.budget.is_limited:
            return True
        left = self.budget.remaining()
        return left > 0 and left >= self.costs.high(key, prior=prior) * audio_seconds * MARGIN

    def longest(self, key: str) -> float:
        """Seconds of audio that a unit may hold and still surely end in time."""
        if not self.budget.is_limited:
            return math.inf
        cost = self.costs.high(key) * MARGIN
        left = max(0.0, self.budget.remaining())
        return left / cost if cost else math.inf

    def n_seconds(self, key: str, audio_seconds: float) -> float:
        """What that much audio will probably take."""
        return self.costs.typical(key) * audio_seconds

    def has_time_for(self, seconds: float) -> bool:
        """Whether work of so many seconds will probably end in time."""
        return not self.budget.is_limited or self.budget.remaining() >= seconds
