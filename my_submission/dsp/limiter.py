"""A look-ahead limiter with one gain for several signals, block by block.

The gain at time t is g(t) = mean of m(v) over v in [t − A, t], where m(v) is the smallest gain that the samples in
[v, v + A] need, raised by at most the release rate. Every one of these windows contains t, so g(t) is never more than
the sample at t needs: nothing exceeds full scale. A is the attack time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from my_submission.stems import Waveform

ATTACK_SECONDS = 0.005
"""The gain falls linearly over this time before a peak."""

RELEASE_DB_PER_SECOND = 20.0
"""Rate at which the gain recovers after a peak."""

_CEILING = 1 - 2.0**-16
"""Highest value after limiting; just below full scale, so that rounding to float32 cannot exceed it."""

_Gains = npt.NDArray[np.float64]


class CommonLimiter:
    """Limits several signals by one gain, so that their sum is the sum before times the gain.

    Args:
        sample_rate: sample rate in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._attack = max(1, round(ATTACK_SECONDS * sample_rate))
        self._step = RELEASE_DB_PER_SECOND / 20 * np.log(10) / sample_rate  # of the logarithm of the gain, per sample
        self._waiting: list[Waveform] = []
        self._needed = np.zeros(self._attack)  # silence before the start, so that windows before it see the start
        self._n_silent = self._attack
        self._recent = np.zeros(self._attack)  # m of the last samples before those waiting
        self._released = 0.0
        self.lowest_gain = 1.0

    def push(self, signals: Sequence[Waveform]) -> list[Waveform]:
        """Add the next block (channels, n) of every signal and return the samples that are ready, (channels, m)."""
        self._add(signals)
        return self._ready(self._needed.size - self._attack)

    def finish(self) -> list[Waveform]:
        """Return the remaining samples of every signal."""
        n_left = self._needed.size
        self._needed = np.concatenate([self._needed, np.zeros(self._attack)])
        return self._ready(n_left)

    def _add(self, signals: Sequence[Waveform]) -> None:
        peaks = np.zeros(signals[0].shape[1], np.float32)
        for channel in (channel for signal in signals for channel in signal):
            np.maximum(peaks, np.abs(channel), out=peaks)
        needed = np.zeros(peaks.size)
        beyond = np.flatnonzero(peaks > 1)
        needed[beyond] = np.log(_CEILING / peaks[beyond].astype(np.float64))
        self._needed = np.concatenate([self._needed, needed])
        waiting = self._waiting or [np.zeros((signal.shape[0], self._attack), np.float32) for signal in signals]
        self._waiting = [np.concatenate(pair, axis=1) for pair in zip(waiting, signals, strict=True)]

    def _ready(self, n_ready: int) -> list[Waveform]:
        if n_ready <= 0:
            return [signal[:, :0] for signal in self._waiting]
        start = min(self._n_silent, n_ready)
        self._n_silent -= start
        needed = self._needed[: n_ready + self._attack]
        if self._released or self._recent.any() or needed.any():
            gain = self._gain(needed)[start:].astype(np.float32)
            ready = [signal[:, start:n_ready] * gain for signal in self._waiting]
        else:
            ready = [signal[:, start:n_ready] for signal in self._waiting]
        self._waiting = [signal[:, n_ready:] for signal in self._waiting]
        self._needed = self._needed[n_ready:]
        return ready

    def _gain(self, needed: _Gains) -> _Gains:
        """Return the gain of all samples but the last of the attack's length, from the logarithms that they need."""
        released = self._with_release(_sliding_minimum(needed, self._attack + 1))
        recent = np.concatenate([self._recent, released])
        sums = np.concatenate([[0.0], np.cumsum(np.exp(recent))])
        gain: _Gains = np.minimum(1.0, (sums[self._attack + 1 :] - sums[: -self._attack - 1]) / (self._attack + 1))
        self._recent = recent[-self._attack :]
        self.lowest_gain = min(self.lowest_gain, float(gain.min()))
        return gain

    def _with_release(self, lowest: _Gains) -> _Gains:
        """Return r(t) = min(lowest(t), r(t − 1) + step), computed as a running minimum."""
        ramp = self._step * np.arange(1, lowest.size + 1)
        released: _Gains = np.minimum(np.minimum.accumulate(lowest - ramp), self._released) + ramp
        released = np.minimum(released, 0.0)
        self._released = float(released[-1])
        return released


def _sliding_minimum(values: _Gains, width: int) -> _Gains:
    """Return the minimum of every window of ``width`` values, by van Herk's algorithm."""
    n_windows = values.size - width + 1
    rows = np.pad(values, (0, -values.size % width), constant_values=np.inf).reshape(-1, width)
    to_left = np.minimum.accumulate(rows, axis=1).ravel()
    to_right = np.minimum.accumulate(rows[:, ::-1], axis=1)[:, ::-1].ravel()
    return np.minimum(to_right[:n_windows], to_left[width - 1 : width - 1 + n_windows])
