"""Guitar and bass signal chain: amplifiers, loudspeaker cabinets and compressors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import scipy.signal

from my_submission.geometry import SAMPLE_RATE

Wave = npt.NDArray[np.float32]

OVERSAMPLING = 4
"""Oversampling factor of the clipping stages, which would alias otherwise."""

TYPICAL_RMS = 0.1
"""Level that the input of an amplifier is scaled to before its drive."""


def amplified(mono: Wave, drive_db: float, rng: np.random.Generator) -> Wave:
    """Apply an amplifier of two soft-clipping stages and a cabinet; ``(samples,)`` at the level of the input.

    Args:
        mono: the clean guitar.
        drive_db: gain before the first stage: clean below 0, crunchy at 10, distorted from 25 on.
        rng: random tone controls and cabinet.
    """
    rms = _active_rms(mono)
    if rms == 0.0:
        return mono
    tight = _filtered(mono / rms * TYPICAL_RMS, "highpass", float(rng.uniform(70.0, 220.0)), order=1)
    up = scipy.signal.resample_poly(tight, OVERSAMPLING, 1)
    first = np.tanh(up * 10.0 ** (drive_db / 20.0) * 3.0 + 0.15) - np.tanh(0.15)
    second = np.tanh(first * float(rng.uniform(1.0, 2.5)))
    down = scipy.signal.resample_poly(second, 1, OVERSAMPLING)
    return _levelled(cabinet(down.astype(np.float32), rng), rms)


def cabinet(mono: Wave, rng: np.random.Generator) -> Wave:
    """Simulate a loudspeaker and microphone: about 80 Hz to 5 kHz, a peak at 2 to 4 kHz, an early echo."""
    out = _filtered(mono, "highpass", float(rng.uniform(65.0, 110.0)), order=2)
    out = _filtered(out, "lowpass", float(rng.uniform(4000.0, 6500.0)), order=4)
    out = out + _peak(out, float(rng.uniform(1800.0, 3800.0)), float(rng.uniform(0.3, 1.2)))
    out = out + _peak(out, float(rng.uniform(90.0, 160.0)), float(rng.uniform(0.0, 0.8)))
    delay = int(rng.uniform(0.0003, 0.0015) * SAMPLE_RATE)
    echo = np.zeros_like(out)
    echo[delay:] = out[:-delay]
    return np.asarray(out + np.float32(rng.uniform(-0.35, 0.35)) * echo, dtype=np.float32)


def bass_channel(mono: Wave, rng: np.random.Generator) -> Wave:
    """Mix the direct bass signal with an overdriven one, and compress the sum."""
    rms = _active_rms(mono)
    if rms == 0.0:
        return mono
    scaled = mono / rms * TYPICAL_RMS
    share = float(rng.choice([0.0, rng.uniform(0.1, 0.9)]))
    driven = np.tanh(scaled * float(rng.uniform(2.0, 12.0)))
    driven = _filtered(driven.astype(np.float32), "lowpass", float(rng.uniform(1500.0, 4500.0)), order=2)
    mixed = (1.0 - share) * scaled + share * driven / max(1e-6, _active_rms(driven)) * TYPICAL_RMS
    if rng.random() < 0.5:
        mixed = _filtered(mixed.astype(np.float32), "lowpass", float(rng.uniform(900.0, 5000.0)), order=1)
    return _levelled(compressed(mixed[None].astype(np.float32), threshold_db=-3.0, ratio=4.0)[0], rms)


def compressed(wave: Wave, *, threshold_db: float, ratio: float, seconds: float = 0.08) -> Wave:
    """Compress ``(channels, samples)`` by :func:`compression_gain`."""
    return np.asarray(wave * compression_gain(wave, threshold_db=threshold_db, ratio=ratio, seconds=seconds))


def compression_gain(wave: Wave, *, threshold_db: float, ratio: float, seconds: float = 0.08) -> Wave:
    """Return the gain ``(samples,)`` of a compressor.

    Args:
        wave: ``(channels, samples)``.
        threshold_db: threshold relative to the mean power of the non-silent parts.
        ratio: input dB per output dB above the threshold.
        seconds: length of the moving average over the power.
    """
    power = np.mean(wave * wave, axis=0)
    smooth = scipy.ndimage.uniform_filter1d(power, max(1, int(seconds * SAMPLE_RATE)))
    mean = max(_active_rms(wave.mean(axis=0)), _active_rms(wave[0]), 1e-9) ** 2
    over_db = np.maximum(0.0, 10.0 * np.log10(np.maximum(smooth / mean, 1e-6)) - threshold_db)
    return np.asarray(10.0 ** (-over_db * (1.0 - 1.0 / ratio) / 20.0), dtype=np.float32)


def _active_rms(mono: Wave) -> float:
    """Return the RMS over blocks of 0.1 s that are less than 30 dB below the loudest one."""
    piece = SAMPLE_RATE // 10
    whole = len(mono) // piece * piece
    if whole == 0:
        return float(np.sqrt(np.mean(np.square(mono)))) if len(mono) else 0.0
    power = np.mean(np.square(mono[:whole].reshape(-1, piece), dtype=np.float64), axis=1)
    loud = power[power > power.max() * 1e-3]
    return float(np.sqrt(loud.mean())) if loud.size else 0.0


def _levelled(wave: Wave, rms: float) -> Wave:
    return np.asarray(wave * np.float32(rms / max(1e-9, _active_rms(wave))), dtype=np.float32)


def _filtered(wave: Wave, kind: str, hertz: float, *, order: int) -> Wave:
    sections = scipy.signal.butter(order, hertz, kind, fs=SAMPLE_RATE, output="sos")
    return np.asarray(scipy.signal.sosfilt(sections, wave), dtype=np.float32)


def _peak(wave: Wave, hertz: float, gain: float) -> Wave:
    numerator, denominator = scipy.signal.iirpeak(hertz, 1.2, fs=SAMPLE_RATE)
    return np.asarray(gain * scipy.signal.lfilter(numerator, denominator, wave), dtype=np.float32)
