"""Peak, mean and standard deviation of a mixture, accumulated block by block in double precision.

Blocks are merged by the pairwise update of Chan, Golub and LeVeque (1979), which is numerically stable unlike a
running sum of squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from my_submission.stems import Waveform


@dataclass(frozen=True)
class MixtureStatistics:
    """Mean and standard deviation, by which Demucs normalises, and the peak. Standard deviations are unbiased (n − 1).

    Attributes:
        peak: largest absolute value; 1 is full scale.
        joint_mean: mean over all values of all channels.
        joint_std: standard deviation over all values of all channels.
        mono_mean: mean of the average of the channels.
        mono_std: standard deviation of the average of the channels.
        are_channels_equal: whether all channels are identical.
    """

    peak: float
    joint_mean: float
    joint_std: float
    mono_mean: float
    mono_std: float
    are_channels_equal: bool = False


class Moments:
    """Count, mean and sum of squared deviations of values that arrive in blocks."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Add values of any shape."""
        if not values.size:
            return
        mean = float(values.mean())
        squares = float(np.square(values - mean).sum())
        total = self.count + values.size
        delta = mean - self.mean
        self._squares += squares + delta * delta * self.count * values.size / total
        self.mean += delta * values.size / total
        self.count = total

    @property
    def std(self) -> float:
        """Unbiased standard deviation; 0 for fewer than two values."""
        return math.sqrt(self._squares / (self.count - 1)) if self.count > 1 else 0.0


class StatisticsAccumulator:
    """Accumulator of :class:`MixtureStatistics` over consecutive blocks (channels, n)."""

    def __init__(self) -> None:
        self._peak = 0.0
        self._joint, self._mono = Moments(), Moments()
        self._are_equal = True

    def add(self, block: Waveform) -> None:
        """Add the next block."""
        values = block.astype(np.float64)
        self._peak = max(self._peak, float(np.abs(values).max(initial=0.0)))
        self._joint.add(values)
        self._mono.add(values.mean(axis=0))
        self._are_equal = self._are_equal and bool((block == block[:1]).all())

    def result(self) -> MixtureStatistics:
        """Return the statistics of all blocks so far."""
        joint, mono = self._joint, self._mono
        return MixtureStatistics(self._peak, joint.mean, joint.std, mono.mean, mono.std, self._are_equal)
