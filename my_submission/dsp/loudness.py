"""Integrated loudness by ITU-R BS.1770-4, measured block by block in constant memory.

K-weighting for any sample rate uses the bilinear forms of De Man, "Evaluation of Implementations of the EBU R128
Loudness Measurement" (AES 2018), which equal the recommendation's coefficients at 48 kHz.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from my_submission.stems import Waveform

STEPS_PER_SECOND = 10
"""Gating blocks start every 100 ms."""

STEPS_PER_BLOCK = 4
"""Gating blocks are 400 ms long."""

ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
OFFSET_LU = -0.691
"""Calibration: a 997-Hz sine at full scale in one channel measures −3.01 LUFS."""


class LoudnessMeter:
    """Integrated loudness of a signal that arrives in blocks.

    Args:
        sample_rate: sample rate in Hz.
        channels: one or two, each with weight 1.
    """

    def __init__(self, sample_rate: int, *, channels: int = 2) -> None:
        from scipy.signal import sosfilt

        self._sosfilt = sosfilt
        self._sample_rate = sample_rate
        self._filter = k_weighting(sample_rate)
        self._state = np.zeros((len(self._filter), channels, 2))
        self._steps: list[float] = []
        self._step_sum = 0.0
        self._position = 0

    def push(self, block: Waveform) -> None:
        """Add the next block, float (channels, n)."""
        weighted, self._state = self._sosfilt(self._filter, block.astype(np.float64), axis=-1, zi=self._state)
        power = np.square(weighted).sum(axis=0)
        taken = 0
        while taken < len(power):
            end = min(self._step_end() - self._position, len(power) - taken)
            self._step_sum += float(power[taken : taken + end].sum())
            taken += end
            self._position += end
            if self._position == self._step_end():
                self._steps.append(self._step_sum)
                self._step_sum = 0.0

    def integrated(self) -> float | None:
        """Return the loudness so far in LUFS; None below 400 ms or if every block is below the absolute gate."""
        steps = np.asarray(self._steps)
        if len(steps) < STEPS_PER_BLOCK:
            return None
        blocks = np.convolve(steps, np.ones(STEPS_PER_BLOCK), mode="valid")
        means = blocks * STEPS_PER_SECOND / (STEPS_PER_BLOCK * self._sample_rate)
        loud = means[_lufs(means) > ABSOLUTE_GATE_LUFS]
        if not loud.size:
            return None
        gate = float(_lufs(loud.mean())) + RELATIVE_GATE_LU
        return float(_lufs(loud[_lufs(loud) > gate].mean()))

    def _step_end(self) -> int:
        """Return the end of the current step, in samples."""
        return (len(self._steps) + 1) * self._sample_rate // STEPS_PER_SECOND


def k_weighting(sample_rate: int) -> npt.NDArray[np.float64]:
    """Return the two filters of K-weighting as second-order sections, float64 (2, 6)."""
    return np.stack([_head_shelf(sample_rate), _low_cut(sample_rate)])


def _head_shelf(sample_rate: int) -> npt.NDArray[np.float64]:
    """Return the high shelf of about 4 dB that models the head."""
    gain_db, quality, centre_hz = 3.999843853973347, 0.7071752369554196, 1681.974450955533
    k = math.tan(math.pi * centre_hz / sample_rate)
    high = 10 ** (gain_db / 20)
    middle = high**0.499666774155
    a0 = 1 + k / quality + k * k
    b = (high + middle * k / quality + k * k, 2 * (k * k - high), high - middle * k / quality + k * k)
    return np.array([*(value / a0 for value in b), 1.0, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0])


def _low_cut(sample_rate: int) -> npt.NDArray[np.float64]:
    """Return the high pass at 38 Hz."""
    quality, centre_hz = 0.5003270373238773, 38.13547087602444
    k = math.tan(math.pi * centre_hz / sample_rate)
    a0 = 1 + k / quality + k * k
    return np.array([1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0])


def _lufs(mean_square: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the loudness of a K-weighted mean square that is summed over channels."""
    return OFFSET_LU + 10 * np.log10(np.maximum(mean_square, np.finfo(np.float64).tiny))
