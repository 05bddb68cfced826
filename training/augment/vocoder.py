"""Pitch shift by a phase vocoder and resampling, as in AIMLESS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal
import soxr

from my_submission.stems import Waveform
from training.augment.effects import Effect, fitted


@dataclass(frozen=True, kw_only=True)
class RandomPitch(Effect, kind="random-pitch"):
    """Random pitch shift at constant tempo.

    The interval is rounded to an even percentage. A phase vocoder stretches the window by it, and resampling restores
    its length.

    Attributes:
        semitones: intervals to draw from; duplicates are drawn more often.
        n_fft: transform length of the vocoder, in samples.
        hop: hop of the vocoder, in samples.
    """

    probability: float = 0.3
    semitones: tuple[int, ...] = (-1, 1, 0, 1, 2)
    n_fft: int = 2048
    hop: int = 512
    is_timing: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.semitones:
            raise ValueError("semitones must contain an interval")
        if not 0 < self.hop <= self.n_fft // 2:
            raise ValueError(f"hop={self.hop} must lie between 1 and half of n_fft={self.n_fft}")

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Shift the pitch; the length stays the same."""
        percentage = pitch_percentage(int(rng.choice(self.semitones)))
        if percentage == 100:
            return window
        longer = stretched(window, percentage / 100.0, n_fft=self.n_fft, hop=self.hop)
        return fitted(np.asarray(soxr.resample(longer.T, percentage, 100), dtype=np.float32).T, window.shape[1])


def pitch_percentage(semitones: int) -> int:
    """Return the frequency ratio of an interval in per cent, rounded down, then up to an even number."""
    percentage = int(100.0 * 2.0 ** (semitones / 12.0))
    return percentage + percentage % 2


def stretched(window: Waveform, ratio: float, *, n_fft: int, hop: int) -> Waveform:
    """Stretch ``(2, samples)`` to ``(2, samples · ratio)`` at constant pitch by a phase vocoder.

    Magnitudes are interpolated between frames. The phase of every bin advances as between the original frames, in both
    directions from the loudest frame: starting at the first one, which is half silent, would make bins cancel.
    """
    transform = scipy.signal.ShortTimeFFT(
        scipy.signal.windows.hann(n_fft, sym=False), hop, fs=1.0, fft_mode="onesided", phase_shift=None
    )
    spectra: npt.NDArray[Any] = transform.stft(window)
    n_frames = spectra.shape[-1]
    positions = np.arange(0.0, n_frames, 1.0 / ratio)
    padded = np.concatenate([spectra, np.zeros_like(spectra[..., :2])], axis=-1)
    left = positions.astype(np.int64)
    before, after = padded[..., left], padded[..., left + 1]
    share = positions - left
    magnitude = (1.0 - share) * np.abs(before) + share * np.abs(after)
    advance = 2.0 * np.pi * hop / n_fft * np.arange(n_fft // 2 + 1)[:, None]
    turned = np.angle(after) - np.angle(before) - advance
    steps = advance + turned - 2.0 * np.pi * np.round(turned / (2.0 * np.pi))
    phase = np.cumsum(steps, axis=-1) - steps
    anchor = int(np.argmax(np.sum(magnitude * magnitude, axis=(0, 1))))
    phase += np.angle(before[..., anchor : anchor + 1]) - phase[..., anchor : anchor + 1]
    n_samples = round(window.shape[1] * ratio)
    return np.asarray(transform.istft(magnitude * np.exp(1j * phase), k1=n_samples), dtype=np.float32)
