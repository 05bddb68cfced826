"""Pitch by a phase vocoder and a resampling, as AIMLESS shifts it."""

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
    """Shifts the pitch by one of several intervals and keeps the tempo.

    The interval becomes an even whole percentage, so that the last steps of the list are a little off. A phase vocoder
    stretches the window by that percentage and a resampling brings it back to its length.

    Attributes:
        semitones: one is drawn; a name that stands twice is twice as likely.
        n_fft: of the vocoder.
        hop: of the vocoder, in samples.
    """

    probability: float = 0.3
    semitones: tuple[int, ...] = (-1, 1, 0, 1, 2)
    n_fft: int = 2048
    hop: int = 512
    is_timing: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.semitones:
            raise ValueError("semitones must hold an interval")
        if not 0 < self.hop <= self.n_fft // 2:
            raise ValueError(f"hop={self.hop} must lie between 1 and half of n_fft={self.n_fft}")

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Of the window's own length."""
        percentage = pitch_percentage(int(rng.choice(self.semitones)))
        if percentage == 100:
            return window
        longer = stretched(window, percentage / 100.0, n_fft=self.n_fft, hop=self.hop)
        return fitted(np.asarray(soxr.resample(longer.T, percentage, 100), dtype=np.float32).T, window.shape[1])


def pitch_percentage(semitones: int) -> int:
    """The frequency ratio of an interval in per cent: rounded down, and odd values up to the next even one."""
    percentage = int(100.0 * 2.0 ** (semitones / 12.0))
    return percentage + percentage % 2


def stretched(window: Waveform, ratio: float, *, n_fft: int, hop: int) -> Waveform:
    """``(2, samples)`` to ``(2, about samples · ratio)`` of the same pitch.

    Magnitudes are interpolated between frames; the phase of every bin moves on as it does between the frames at hand,
    from the loudest frame on, both ways: the first one, where others begin, is half silence, and bins that begin out
    of step weaken each other throughout.
    """
    transform = scipy.signal.ShortTimeFFT(
        scipy.signal.windows.hann(n_fft, sym=False), hop, fs=1.0, fft_mode="onesided", phase_shift=None
    )
    spectra: npt.NDArray[Any] = transform.stft(window)
    n_frames = spectra.shape[-1]
    places = np.arange(0.0, n_frames, 1.0 / ratio)
    padded = np.concatenate([spectra, np.zeros_like(spectra[..., :2])], axis=-1)
    left = places.astype(np.int64)
    before, after = padded[..., left], padded[..., left + 1]
    share = places - left
    magnitude = (1.0 - share) * np.abs(before) + share * np.abs(after)
    advance = 2.0 * np.pi * hop / n_fft * np.arange(n_fft // 2 + 1)[:, None]
    turned = np.angle(after) - np.angle(before) - advance
    steps = advance + turned - 2.0 * np.pi * np.round(turned / (2.0 * np.pi))
    phase = np.cumsum(steps, axis=-1) - steps
    anchor = int(np.argmax(np.sum(magnitude * magnitude, axis=(0, 1))))
    phase += np.angle(before[..., anchor : anchor + 1]) - phase[..., anchor : anchor + 1]
    n_samples = round(window.shape[1] * ratio)
    return np.asarray(transform.istft(magnitude * np.exp(1j * phase), k1=n_samples), dtype=np.float32)
