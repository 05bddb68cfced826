"""Costs in this run: the calibration of earlier runs, corrected by every measurement."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median_low

from my_submission.budget import Budget
from my_submission.planning.calibration import Calibration, Cost

MARGIN = 1.25
"""A work item begins only if it would end in time at this multiple of the highest cost so far."""

PRIOR_SECONDS_PER_SECOND = 1.0
"""Cost of a stage of which nothing is known: real time, several times what the published networks need on two cores.
The first work item of any network corrects it for all."""

GUESS_MARGIN = 1.5
"""Safety factor of an assumed cost: this machine may be slower than the one that it was measured on."""

HIGH_GUESS_MARGIN = 4.0
"""Pessimistic multiple of an assumed cost: the first work item begins only if it would end in time even then."""

_LATEST_SHARE = 0.5
"""Weight of the latest item in the typical cost: a machine that becomes busy is noticed after three items."""

MIN_KEPT_SECONDS = 0.5
"""Costs measured on less audio are not kept for later runs, because they are mostly fixed overhead."""

_ENOUGH_UNITS = 5
"""From this number of items on, the slowest one counts in the highest cost only, because it may be a brief stall."""

_HIGH_DECAY = 0.9
"""Decay of the highest cost per item, so that one brief stall does not stop the work long before the deadline."""


class _Typical:
    """A running value that follows a change within three measurements, and ignores a single brief stall.

    Args:
        known: the value before; None if it was never measured.
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
    """Measurements of one stage in this run."""

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
        """Mean over the run, without its slowest item if there are enough others."""
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
    """Costs of the stages of one run, in seconds of work per second of audio.

    Args:
        calibration: costs of earlier runs.
    """

    calibration: Calibration
    _measured: dict[str, _Measured] = field(default_factory=dict)
    _slowness: _Typical = field(default_factory=lambda: _Typical(1.0))
    _assumed: dict[str, float] = field(default_factory=dict)
    _assumption_error: _Typical = field(default_factory=lambda: _Typical(None))

    def assume(self, key: str, cost: float) -> None:
        """Set the usual cost of a stage on other machines, which counts until the stage is measured on this one."""
        self._assumed[key] = cost

    def has_assumed(self, key: str) -> bool:
        """Whether the usual cost of a stage is set."""
        return key in self._assumed

    def typical(self, key: str, *, prior: float | None = None) -> float:
        """Return the likely cost of a stage.

        This is the first known of: its cost in this run; its cost in earlier runs, times the slowness of this run; its
        assumed cost, with a margin and raised if other assumed costs were too low; ``prior``; the cost of the most
        expensive network so far; real time.
        """
        if key in self._measured:
            return self._measured[key].typical
        if known := self.calibration.get(key):
            return known.typical * self.slowness
        if key in self._assumed:
            return self._assumed[key] * max(GUESS_MARGIN, self._assumption_error.value)
        return self._unknown() if prior is None else prior

    def high(self, key: str, *, prior: float | None = None) -> float:
        """Return the pessimistic cost of a stage."""
        known = self.calibration.get(key)
        if measured := self._measured.get(key):
            before = known.high * self.slowness if known else 0.0
            # Items of this run are more significant than the worst of earlier runs.
            return max(measured.high, min(before, 2 * measured.typical))
        if known:
            return known.high * self.slowness
        if key in self._assumed:
            return self._assumed[key] * max(HIGH_GUESS_MARGIN, GUESS_MARGIN * self._assumption_error.value)
        return self.typical(key, prior=prior)

    def worst(self, key: str, *, prior: float) -> float:
        """Return the likely cost of a stage, in this run or in earlier runs, whichever is larger."""
        known = self.calibration.get(key)
        return max(self.typical(key, prior=prior), known.typical if known else 0.0)

    def proven(self, key: str, *, prior: float) -> float:
        """Return the same without what a single earlier run shows beyond ``prior``: the machine may have been busy."""
        if self.calibration.n_runs(key) != 1:
            return self.worst(key, prior=prior)
        earlier = min(self.worst(key, prior=prior), prior)
        return max(earlier, self._measured[key].typical) if key in self._measured else earlier

    def knows(self, key: str) -> bool:
        """Whether the cost of a stage was ever measured."""
        return key in self._measured or self.calibration.get(key) is not None

    def expected_slowness(self, key: str) -> float:
        """Return the factor by which other stages have raised the likely cost of a stage that is not yet measured."""
        is_raised = key not in self._measured and self.calibration.get(key) is not None
        return max(1.0, self.slowness) if is_raised else 1.0

    @property
    def slowness(self) -> float:
        """Cost of the networks and filters measured in this run relative to earlier runs; 1 if none was known."""
        return self._slowness.value

    def observe(self, key: str, audio_seconds: float, seconds: float, *, is_network: bool = True) -> None:
        """Add a measurement; ``is_network`` is False for reading and writing."""
        if audio_seconds <= 0:
            return
        known = self.calibration.get(key)
        if key not in self._measured:
            # One item is a noisy measurement: it corrects the known cost but does not replace it, unless that is from
            # a single run of writing.
            is_known = known is not None and (is_network or self.calibration.n_runs(key) > 1)
            likely = known.typical * self.slowness if known is not None and is_known else None
            self._measured[key] = _Measured(_Typical(likely), is_network)
        self._measured[key].add(audio_seconds, max(0.0, seconds))
        if seconds <= 0 or not is_network:
            return
        if known and known.typical > 0:
            self._slowness.add(seconds / audio_seconds / known.typical)
        if assumed := self._assumed.get(key):
            self._assumption_error.add(seconds / audio_seconds / assumed)

    def keep(self) -> None:
        """Add the costs that were measured on enough audio to the calibration."""
        self.calibration.update(
            {
                key: Cost(mean, max(mean, measured.high))
                for key, measured in self._measured.items()
                if measured.audio_seconds >= MIN_KEPT_SECONDS and math.isfinite(mean := measured.mean)
            }
        )

    def _unknown(self) -> float:
        """Return the cost of an unmeasured network: that of the most expensive one."""
        return max((one.typical for one in self._measured.values() if one.is_network), default=PRIOR_SECONDS_PER_SECOND)


@dataclass(frozen=True)
class Forecast:
    """Predicts whether work would end in time.

    Attributes:
        costs: seconds of work per second of audio.
        budget: the time left, without the time set aside for what comes afterwards.
    """

    costs: CostModel
    budget: Budget

    def allows(self, key: str, audio_seconds: float) -> bool:
        """Whether a work item would surely end in time."""
        if not self.budget.is_limited:
            return True
        left = self.budget.remaining()
        return left > 0 and left >= self.costs.high(key) * audio_seconds * MARGIN

    def longest(self, key: str) -> float:
        """Return the seconds of audio of the longest work item that would surely end in time."""
        if not self.budget.is_limited:
            return math.inf
        cost = self.costs.high(key) * MARGIN
        left = max(0.0, self.budget.remaining())
        return left / cost if cost else math.inf

    def n_seconds(self, key: str, audio_seconds: float) -> float:
        """Return the likely duration of work on that much audio, in seconds."""
        return self.costs.typical(key) * audio_seconds

    def has_time_for(self, seconds: float) -> bool:
        """Whether work of this duration in seconds will probably end in time."""
        return not self.budget.is_limited or self.budget.remaining() >= seconds
