"""Reverb by convolution with decaying noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import Effect, Range, check_range

DECAY_NEPERS = 6.0
"""Decay of the tail at its end, 52 dB."""

MAX_PREDELAY_SECONDS = 0.03

MONO_PROBABILITY = 0.3
"""Probability that both channels have the same tail."""

MAX_LOWPASS = 0.9
"""Maximum share of the previous sample that is added to each sample of a tail."""


@dataclass(frozen=True, kw_only=True)
class Room(Effect, kind="room"):
    """Reverb tail of low-passed, exponentially decaying noise after a short predelay.

    Attributes:
        shortest_seconds: minimum length of the tail.
        longest_seconds: maximum length of the tail; lengths are drawn uniformly on a logarithmic scale.
        quietest_db: minimum level of the tail relative to the sound.
        loudest_db: maximum level of the tail relative to the sound.
    """

    probability: float = 0.3
    shortest_seconds: float = 0.16
    longest_seconds: float = 1.8
    quietest_db: float = -18.0
    loudest_db: float = -2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("length of the tail in seconds", self.shortest_seconds, self.longest_seconds)
        check_range("level of the tail in dB", self.quietest_db, self.loudest_db)
        if self.shortest_seconds <= 0.0:
            raise ValueError(f"shortest_seconds={self.shortest_seconds} must be positive")

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Add a tail, cut at the end of the window."""
        seconds = Range(self.shortest_seconds, self.longest_seconds, is_logarithmic=True).draw(rng)
        predelay = int(rng.uniform(0.0, MAX_PREDELAY_SECONDS) * SAMPLE_RATE)
        tail = decaying_noise(max(1, int(seconds * SAMPLE_RATE)), rng)
        level = np.float32(10.0 ** (rng.uniform(self.quietest_db, self.loudest_db) / 20.0))
        wet = np.array(window, dtype=np.float32)
        if predelay < window.shape[1]:
            wet[:, predelay:] += level * reverberated(window, tail)[:, : window.shape[1] - predelay]
        return wet


def decaying_noise(n_samples: int, rng: np.random.Generator) -> Waveform:
    """Return a random tail ``float32 (2, n_samples)`` with a mean energy of 1 per channel."""
    tail = rng.standard_normal((2, n_samples), dtype=np.float32)
    if rng.random() < MONO_PROBABILITY:
        tail[1] = tail[0]
    tail *= np.exp(-np.linspace(0.0, DECAY_NEPERS, n_samples, dtype=np.float32))
    filtered = tail.copy()
    filtered[:, 1:] += np.float32(rng.uniform(0.0, MAX_LOWPASS)) * tail[:, :-1]
    return np.asarray(filtered / np.sqrt(np.mean(np.sum(filtered * filtered, axis=1))), dtype=np.float32)


def reverberated(window: Waveform, tail: Waveform) -> Waveform:
    """Convolve each channel of ``(2, samples)`` with its tail, cut to the length of the window."""
    n_samples = window.shape[1]
    size = scipy.fft.next_fast_len(n_samples + tail.shape[1] - 1, real=True)
    spectrum = scipy.fft.rfft(window, size) * scipy.fft.rfft(tail, size)
    return np.asarray(scipy.fft.irfft(spectrum, size)[:, :n_samples], dtype=np.float32)
