"""The transform inside a Hybrid Demucs: ceil(samples / hop) frames for any number of samples, and back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from my_submission.networks.hybrid_demucs.shape import HOP, N_FFT

_EDGE = HOP // 2 * 3
"""Samples before the first and, at least, after the last: frames are centred on the middles of their hops."""

_INVERSE_FRAMES = 2
"""Frames that the inverse transform wants at each side; they are silent."""


def frames_for(samples: int) -> int:
    """Frames of so many samples."""
    return -(-samples // HOP)


def to_spectrum(waves: Tensor) -> Tensor:
    """Normalised spectra without the Nyquist bin: float32 [..., samples] to complex64 [..., bins, frames]."""
    samples = waves.shape[-1]
    frames = frames_for(samples)
    whole = frames * HOP + N_FFT - HOP
    flat = _reflected(waves.reshape(-1, 1, samples), _EDGE, whole - _EDGE - samples)[:, 0]
    spectra = torch.stft(
        flat, N_FFT, HOP, window=_window(waves), center=False, normalized=True, onesided=True, return_complex=True
    )
    return spectra[:, :-1].reshape(*waves.shape[:-1], N_FFT // 2, frames)


def to_waves(spectra: Tensor, samples: int) -> Tensor:
    """Inverse of :func:`to_spectrum`: complex64 [..., bins, frames] to float32 [..., samples]."""
    *rows, bins, frames = spectra.shape
    flat = F.pad(spectra.reshape(-1, bins, frames), (_INVERSE_FRAMES, _INVERSE_FRAMES, 0, 1))
    waves = torch.istft(
        flat, N_FFT, HOP, window=_window(spectra), center=True, normalized=True, length=frames * HOP + N_FFT - HOP
    )
    return waves[:, _EDGE : _EDGE + samples].reshape(*rows, samples)


def _reflected(waves: Tensor, left: int, right: int) -> Tensor:
    """Pad by reflection; where the waveform is too short to be reflected, zeros follow it first."""
    missing = max(0, max(left, right) + 1 - waves.shape[-1])
    return F.pad(F.pad(waves, (0, missing)), (left, max(0, right - missing)), mode="reflect")


def _window(like: Tensor) -> Tensor:
    return torch.hann_window(N_FFT, periodic=True, device=like.device)
