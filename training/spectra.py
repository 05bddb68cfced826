"""Short-time Fourier transforms in torch, in the layout of the published networks.

Periodic Hann window of ``n_fft``, centred frames with reflection at the ends, real and imaginary
part as channels: L.re, L.im, R.re, R.im.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Transform of one network: lengths in samples, kept bins, frames of one window."""

    n_fft: int
    hop: int
    bins: int
    frames: int

    def __post_init__(self) -> None:
        if not 0 < self.bins <= self.n_fft // 2 + 1:
            raise ValueError(f"bins={self.bins} does not fit n_fft={self.n_fft}")
        if self.hop < 1 or self.frames < 2 or self.chunk_samples <= self.n_fft:
            raise ValueError(f"hop={self.hop} and frames={self.frames} leave no chunk longer than n_fft={self.n_fft}")

    @property
    def chunk_samples(self) -> int:
        """Samples whose transform has exactly ``frames`` frames."""
        return self.hop * (self.frames - 1)

    @property
    def trim_samples(self) -> int:
        """Samples at each end of a chunk that lack real context."""
        return self.n_fft // 2


def spectrum(waves: Tensor, geometry: Geometry) -> Tensor:
    """``float32 [N, 2, samples]`` to ``float32 [N, 4, bins, frames]``."""
    n, channels, samples = waves.shape
    window = torch.hann_window(geometry.n_fft, periodic=True)
    z = torch.stft(
        waves.reshape(n * channels, samples),
        geometry.n_fft,
        geometry.hop,
        window=window,
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )[:, : geometry.bins]
    return torch.view_as_real(z).permute(0, 3, 1, 2).reshape(n, 2 * channels, geometry.bins, -1)


def waveform(spectra: Tensor, geometry: Geometry, n_samples: int) -> Tensor:
    """``[N, 4, bins, frames]`` to ``[N, 2, n_samples]``; bins beyond the kept ones are zero."""
    n, channels, _, frames = spectra.shape
    full = functional.pad(spectra, (0, 0, 0, geometry.n_fft // 2 + 1 - geometry.bins))
    parts = full.reshape(n * channels // 2, 2, -1, frames).permute(0, 2, 3, 1).contiguous()
    window = torch.hann_window(geometry.n_fft, periodic=True)
    waves = torch.istft(
        torch.view_as_complex(parts), geometry.n_fft, geometry.hop, window=window, center=True, length=n_samples
    )
    return waves.reshape(n, channels // 2, n_samples)
