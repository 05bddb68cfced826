"""Spectra in torch, differentiable and on any device: the transforms of ``dsp.stft``, layouts, masks.

The definition is that of ``dsp.stft``: periodic Hann window of n_fft, centred frames with reflected borders,
un-normalised. Channels are L.re, L.im, R.re, R.im.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from my_submission.geometry import StftGeometry

POWER_EPS = 1e-8
"""Added to powers before a division or a negative exponent, so that digital silence stays silent."""


def to_channels(waves: Tensor, geometry: StftGeometry) -> Tensor:
    """Return the network input of chunks: (batch, channels, samples) to (batch, 2 · channels, kept_bins, frames)."""
    spectra = torch.stft(
        waves.flatten(0, 1),
        geometry.n_fft,
        geometry.hop,
        window=torch.hann_window(geometry.n_fft, device=waves.device, dtype=waves.dtype),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )[:, : geometry.kept_bins]
    spectra[:, : geometry.silent_bins] = 0
    return complex_as_channels(spectra.reshape(*waves.shape[:2], *spectra.shape[1:])).contiguous()


def from_channels(channels: Tensor, geometry: StftGeometry, *, samples: int | None = None) -> Tensor:
    """Inverse of :func:`to_channels`, with zeros above the kept bins; hop · (frames − 1) samples by default.

    Precision is single, or double for channels in double precision.
    """
    channels = channels if channels.dtype == torch.float64 else channels.float()
    spectra = channels_as_complex(F.pad(channels, (0, 0, 0, geometry.n_bins - channels.shape[-2])))
    waves = torch.istft(
        spectra.flatten(0, 1),
        geometry.n_fft,
        geometry.hop,
        window=torch.hann_window(geometry.n_fft, device=channels.device, dtype=channels.dtype),
        center=True,
        length=samples,
    )
    return waves.reshape(*spectra.shape[:2], -1)


def complex_as_channels(spectra: Tensor) -> Tensor:
    """Return complex (batch, channels, bins, frames) as (batch, 2 · channels, bins, frames): re, im of each channel."""
    return torch.view_as_real(spectra).movedim(-1, 2).flatten(1, 2)


def channels_as_complex(channels: Tensor) -> Tensor:
    """Inverse of :func:`complex_as_channels`, with any leading axes."""
    *leading, doubled, bins, frames = channels.shape
    pairs = channels.reshape(*leading, doubled // 2, 2, bins, frames)
    return torch.view_as_complex(pairs.movedim(-3, -1).contiguous())


def channel_major(parts: Tensor) -> Tensor:
    """Convert the LaSAFT networks' (batch, 4, frames, bins), real parts first, to (batch, 4, bins, frames)."""
    batch, doubled, frames, bins = parts.shape
    channels = parts.reshape(batch, 2, doubled // 2, frames, bins).permute(0, 2, 1, 4, 3)
    return channels.reshape(batch, doubled, bins, frames)


def part_major(channels: Tensor) -> Tensor:
    """Inverse of :func:`channel_major`: (batch, 4, bins, frames) to (batch, 4, frames, bins)."""
    batch, doubled, bins, frames = channels.shape
    return channels.reshape(batch, doubled // 2, 2, bins, frames).permute(0, 2, 1, 4, 3).flatten(1, 2)


def fold_bins(x: Tensor, bins_per_row: int) -> Tensor:
    """Fold neighbouring bins into channels: [N, C, bins, T] to [N, C · bins_per_row, bins / bins_per_row, T]."""
    x = x.reshape(-1, x.shape[1], x.shape[2] // bins_per_row, bins_per_row, x.shape[-1])
    return x.permute(0, 1, 3, 2, 4).flatten(1, 2)


def unfold_bins(y: Tensor, bins_per_row: int) -> Tensor:
    """Inverse of :func:`fold_bins`."""
    y = y.reshape(-1, y.shape[1] // bins_per_row, bins_per_row, y.shape[2], y.shape[-1])
    return y.permute(0, 1, 3, 2, 4).flatten(2, 3)


def at_unit_power(x: Tensor) -> Tensor:
    """Scale every item of [N, C, bins, T] to unit mean power."""
    return x / torch.sqrt(torch.mean(x * x, dim=(1, 2, 3), keepdim=True) + POWER_EPS)


def apply_masks(x: Tensor, masks: Tensor, targets: int) -> Tensor:
    """Multiply spectra [N, C, bins, T] by complex masks [N, targets · C, bins, T]: [N, targets, C, bins, T]."""
    shape = (-1, targets, x.shape[1] // 2, 2, *x.shape[2:])
    real, imaginary = masks.reshape(shape).unbind(3)
    x_real, x_imaginary = x.reshape(-1, 1, *shape[2:]).unbind(3)
    product = (x_real * real - x_imaginary * imaginary, x_real * imaginary + x_imaginary * real)
    return torch.stack(product, dim=3).flatten(2, 3)


@torch.no_grad()
def start_at_equal_shares(layer: nn.Conv2d, bins_per_row: int) -> None:
    """Initialise the layer of complex masks near a quarter of the input, so that the loss starts low."""
    layer.weight.mul_(0.1)
    share = torch.tensor([0.25, 0.0]).repeat(layer.out_channels // (2 * bins_per_row))
    if layer.bias is not None:
        layer.bias.copy_(share.repeat_interleave(bins_per_row))
