"""The transforms of ``dsp.stft`` in torch, differentiable and on any device, for training and for GPUs.

Same definition: periodic Hann window of n_fft, centred frames with reflected borders, un-normalised; channels are
L.re, L.im, R.re, R.im.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from my_submission.geometry import StftGeometry


def to_channels(waves: Tensor, geometry: StftGeometry) -> Tensor:
    """Network input of chunks: (batch, channels, samples) to (batch, 2 · channels, kept_bins, frames)."""
    batch, channels, samples = waves.shape
    spectra = torch.stft(
        waves.reshape(batch * channels, samples),
        geometry.n_fft,
        geometry.hop,
        window=_window(geometry, waves),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )[:, : geometry.kept_bins]
    parts = torch.view_as_real(spectra).permute(0, 3, 1, 2)
    return parts.reshape(batch, 2 * channels, geometry.kept_bins, -1).contiguous()


def from_channels(channels: Tensor, geometry: StftGeometry, *, samples: int | None = None) -> Tensor:
    """Inverse of :func:`to_channels`: bins above the kept ones are zero, hop · (frames − 1) samples unless given."""
    batch, doubled, bins, frames = channels.shape
    full = F.pad(channels.float(), (0, 0, 0, geometry.n_bins - bins))
    parts = full.reshape(batch * doubled // 2, 2, geometry.n_bins, frames).permute(0, 2, 3, 1).contiguous()
    waves = torch.istft(
        torch.view_as_complex(parts),
        geometry.n_fft,
        geometry.hop,
        window=_window(geometry, channels),
        center=True,
        length=samples,
    )
    return waves.reshape(batch, doubled // 2, -1)


def channel_major(parts: Tensor) -> Tensor:
    """Part-major spectra of the LaSAFT networks, (batch, 4, frames, bins), as (batch, 4, bins, frames) of these."""
    batch, doubled, frames, bins = parts.shape
    channels = parts.reshape(batch, 2, doubled // 2, frames, bins).permute(0, 2, 1, 4, 3)
    return channels.reshape(batch, doubled, bins, frames)


def part_major(channels: Tensor) -> Tensor:
    """Inverse of :func:`channel_major`: (batch, 4, bins, frames) to (batch, 4, frames, bins)."""
    batch, doubled, bins, frames = channels.shape
    return channels.reshape(batch, doubled // 2, 2, bins, frames).permute(0, 2, 1, 4, 3).flatten(1, 2)


def _window(geometry: StftGeometry, like: Tensor) -> Tensor:
    return torch.hann_window(geometry.n_fft, periodic=True, device=like.device)
