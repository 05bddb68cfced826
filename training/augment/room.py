"""Reverberation without a plug-in: the sound folded with a decaying noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import Effect, check_range

DECAY_NEPERS = 6.0
"""How far a tail falls to its end: 52 dB."""

LONGEST_GAP_SECONDS = 0.03
"""Between the sound and its first reflection."""

MONO_CHANCE = 0.3
"""How often both sides have the same tail."""

DULLEST = 0.9
"""Largest share of the sample before that is added to each sample of a tail."""


@dataclass(frozen=True, kw_only=True)
class Room(Effect, kind="room"):
    """Adds a tail of dulled, exponentially decaying noise after a short gap; the sound itself is kept.

    Attributes:
        shortest_seconds: shortest tail.
        longest_seconds: longest tail; lengths between are drawn evenly on a logarithmic scale.
        quietest_db: lowest level of the tail against the sound.
        loudest_db: highest level of the tail against the sound.
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
        """The sound and its tail, cut off where the window ends."""
        seconds = np.exp(rng.uniform(np.log(self.shortest_seconds), np.log(self.longest_seconds)))
        gap = int(rng.uniform(0.0, LONGEST_GAP_SECONDS) * SAMPLE_RATE)
        tail = decaying_noise(max(1, int(seconds * SAMPLE_RATE)), rng)
        level = np.float32(10.0 ** (rng.uniform(self.quietest_db, self.loudest_db) / 20.0))
        roomy = np.array(window, dtype=np.float32)
        if gap < window.shape[1]:
            roomy[:, gap:] += level * reverberated(window, tail)[:, : window.shape[1] - gap]
        return roomy


def decaying_noise(n_samples: int, rng: np.random.Generator) -> Waveform:
    """A tail ``float32 (2, n_samples)`` of unit energy per channel in the mean."""
    tail = rng.standard_normal((2, n_samples), dtype=np.float32)
    if rng.random() < MONO_CHANCE:
        tail[1] = tail[0]
    tail *= np.exp(-np.linspace(0.0, DECAY_NEPERS, n_samples, dtype=np.float32))
    dulled = tail.copy()
    dulled[:, 1:] += np.float32(rng.uniform(0.0, DULLEST)) * tail[:, :-1]
    return np.asarray(dulled / np.sqrt(np.mean(np.sum(dulled * dulled, axis=1))), dtype=np.float32)


def reverberated(window: Waveform, tail: Waveform) -> Waveform:
    """Each channel of ``(2, samples)`` convolved with its tail, cut to the window's length."""
    n_samples = window.shape[1]
    size = scipy.fft.next_fast_len(n_samples + tail.shape[1] - 1, real=True)
    spectrum = scipy.fft.rfft(window, size) * scipy.fft.rfft(tail, size)
    return np.asarray(scipy.fft.irfft(spectrum, size)[:, :n_samples], dtype=np.float32)
