"""The transform inside a Hybrid Demucs, with ceil(samples / hop) frames for any number of samples."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from my_submission.networks.hybrid_demucs.shape import HOP, N_FFT

_PADDING = HOP // 2 * 3
"""Samples added before the first and, at least, after the last, so that frames are centred in their hops."""

_INVERSE_FRAMES = 2
"""Zero frames added at each side for the inverse transform."""


def to_spectrum(waves: Tensor) -> Tensor:
    """Return normalised spectra without the Nyquist bin: float32 [..., samples] to complex64 [..., bins, frames]."""
    samples = waves.shape[-1]
    frames = -(-samples // HOP)
    padded = frames * HOP + N_FFT - HOP
    flat = _reflected(waves.reshape(-1, 1, samples), _PADDING, padded - _PADDING - samples)[:, 0]
    window = torch.hann_window(N_FFT, device=waves.device)
    spectra = torch.stft(flat, N_FFT, HOP, window=window, center=False, normalized=True, return_complex=True)
    return spectra[:, :-1].reshape(*waves.shape[:-1], N_FFT // 2, frames)


def to_waves(spectra: Tensor, samples: int) -> Tensor:
    """Inverse of :func:`to_spectrum`: complex64 [..., bins, frames] to float32 [..., samples]."""
    *rows, bins, frames = spectra.shape
    flat = F.pad(spectra.reshape(-1, bins, frames), (_INVERSE_FRAMES, _INVERSE_FRAMES, 0, 1))
    window = torch.hann_window(N_FFT, device=spectra.device)
    length = frames * HOP + N_FFT - HOP
    waves = torch.istft(flat, N_FFT, HOP, window=window, center=True, normalized=True, length=length)
    return waves[:, _PADDING : _PADDING + samples].reshape(*rows, samples)


def _reflected(waves: Tensor, left: int, right: int) -> Tensor:
    """Pad by reflection; a waveform too short to be reflected is padded with zeros first."""
    missing = max(0, max(left, right) + 1 - waves.shape[-1])
    return F.pad(F.pad(waves, (0, missing)), (left, max(0, right - missing)), mode="reflect")
