"""Effects of electronic productions: soft clipping, stereo width, ducking and echoes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.signal

from my_submission.geometry import SAMPLE_RATE

Wave = npt.NDArray[np.float32]

OVERSAMPLING = 4
DUCK_ATTACK_SECONDS = 0.004
LOW_BAND_HERTZ = 250.0


def filtered(wave: Wave, kind: str, hertz: float, *, order: int = 2) -> Wave:
    """Filter the last axis with a Butterworth filter (lowpass or highpass)."""
    sections = scipy.signal.butter(order, hertz, kind, fs=SAMPLE_RATE, output="sos")
    return np.asarray(scipy.signal.sosfilt(sections, wave), dtype=np.float32)


def split_bands(wave: Wave, hertz: float) -> tuple[Wave, Wave]:
    """Return the parts below and above a frequency, in phase; their sum is the input."""
    sections = scipy.signal.butter(2, hertz, "lowpass", fs=SAMPLE_RATE, output="sos")
    low = np.asarray(scipy.signal.sosfiltfilt(sections, wave), dtype=np.float32)
    return low, np.asarray(wave - low)


def driven(mono: Wave, gain: float) -> Wave:
    """Clip softly, four times oversampled; the peak is scaled to ``gain`` in front of the clipper."""
    peak = float(np.abs(mono).max(initial=0.0))
    if peak == 0.0 or gain <= 0.0:
        return mono
    up = scipy.signal.resample_poly(mono * np.float32(gain / peak), OVERSAMPLING, 1)
    return np.asarray(scipy.signal.resample_poly(np.tanh(up), 1, OVERSAMPLING), dtype=np.float32)[: len(mono)]


def low_weighted(mono: Wave, ratio: float) -> Wave:
    """Attenuate the band above :data:`LOW_BAND_HERTZ` until its energy is at most ``ratio`` of that below."""
    low, high = split_bands(mono, LOW_BAND_HERTZ)
    energy_low, energy_high = float(np.sum(low * low)), float(np.sum(high * high))
    if energy_high <= ratio * energy_low:
        return mono
    return np.asarray(low + high * np.float32(np.sqrt(ratio * energy_low / energy_high)))


def widened(mono: Wave, amount: float, *, above_hertz: float, hertz: float) -> Wave:
    """Return stereo: a delay that a slow sine moves is added left and subtracted right, above a frequency.

    Args:
        mono: ``(samples,)``.
        amount: level of the delayed signal.
        above_hertz: everything below stays in the centre.
        hertz: rate of the delay's movement.
    """
    if amount == 0.0:
        return np.stack((mono, mono))
    _, high = split_bands(mono, above_hertz)
    index = np.arange(len(mono), dtype=np.float64)
    delay = (0.012 + 0.004 * np.sin(2 * np.pi * hertz * index / SAMPLE_RATE)) * SAMPLE_RATE
    side = np.interp(index - delay, index, high, left=0.0).astype(np.float32) * np.float32(amount)
    return np.stack((mono + side, mono - side))


def ducking(onsets: Sequence[float], n_samples: int, *, depth: float, seconds: float) -> Wave:
    """Return the gain ``(samples,)`` of side-chain ducking: it falls at onsets and recovers.

    Args:
        onsets: times in seconds.
        n_samples: length.
        depth: share of the level that is removed at an onset.
        seconds: time until the gain has recovered.
    """
    gain = np.ones(n_samples, dtype=np.float32)
    n_down, n_back = int(DUCK_ATTACK_SECONDS * SAMPLE_RATE), max(1, int(seconds * SAMPLE_RATE))
    rise = np.linspace(0.0, 1.0, n_back) ** 1.5
    shape = 1.0 - depth * np.concatenate((np.linspace(0.0, 1.0, n_down), 1.0 - rise))
    for onset in onsets:
        start = int(onset * SAMPLE_RATE)
        piece = gain[start : start + len(shape)]
        np.minimum(piece, shape[: len(piece)].astype(np.float32), out=piece)
    return gain


def with_echoes(wave: Wave, *, seconds: float, feedback: float, level: float, n_echoes: int = 4) -> Wave:
    """Add ping-pong echoes to ``(2, samples)``."""
    out = wave.copy()
    step = max(1, int(seconds * SAMPLE_RATE))
    for number in range(1, n_echoes + 1):
        shift = number * step
        if shift >= wave.shape[1]:
            break
        out[:, shift:] += np.float32(level * feedback ** (number - 1)) * np.roll(wave, number % 2, axis=0)[:, :-shift]
    return out
