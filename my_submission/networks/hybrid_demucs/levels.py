"""Encoder and decoder levels of a Hybrid Demucs, for spectra [N, C, F, T] and for waveforms [N, C, T]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from my_submission.networks.hybrid_demucs.layers import ResidualBranches
from my_submission.networks.hybrid_demucs.shape import (
    KERNEL,
    NORM_GROUPS,
    PAD,
    SHARED_KERNEL,
    SHARED_PAD,
    SHARED_STRIDE,
    STRIDE,
)
from my_submission.networks.tiles import assembled

BINS_PER_TILE = 32
"""Output bins per tile when no gradient is needed, which limits the memory of inner activations."""


def _norm(channels: int, *, is_deep: bool) -> nn.Module:
    return nn.GroupNorm(NORM_GROUPS, channels) if is_deep else nn.Identity()


class SpectralEncoder(nn.Module):
    """An encoder level of the spectrogram branch, which divides the bins by the stride.

    Args:
        inputs: input channels.
        width: output channels.
        is_deep: whether it has norms, an LSTM and attention; such a level reduces the bins to one.
    """

    def __init__(self, inputs: int, width: int, *, is_deep: bool) -> None:
        super().__init__()
        self.pad = 0 if is_deep else PAD
        self.conv = nn.Conv2d(inputs, width, (KERNEL, 1), (STRIDE, 1), (self.pad, 0))
        self.norm1 = _norm(width, is_deep=is_deep)
        self.rewrite = nn.Conv2d(width, 2 * width, 1)
        self.norm2 = _norm(2 * width, is_deep=is_deep)
        self.dconv = ResidualBranches(width, is_deep=is_deep)

    def forward(self, x: Tensor, injected: Tensor | None = None) -> Tensor:
        """Encode [N, C, F, T]; ``injected`` [N, width, T] is added where the waveform branch ends."""
        bins = (x.shape[2] + 2 * self.pad - KERNEL) // STRIDE + 1
        if torch.is_grad_enabled() or bins <= BINS_PER_TILE:
            return self._encode(F.pad(x, (0, 0, self.pad, self.pad)), injected)

        # In outer levels, the layers after the convolution process every bin independently.
        def tile(start: int) -> Tensor:
            stop = min(start + BINS_PER_TILE, bins)
            first, last = start * STRIDE - self.pad, (stop - 1) * STRIDE - self.pad + KERNEL
            below, above = max(0, -first), max(0, last - x.shape[2])
            return self._encode(F.pad(x[:, :, max(0, first) : last], (0, 0, below, above)), None)

        return assembled((tile(start) for start in range(0, bins, BINS_PER_TILE)), bins, axis=2)

    def _encode(self, padded: Tensor, injected: Tensor | None) -> Tensor:
        y = F.conv2d(padded, self.conv.weight, self.conv.bias, (STRIDE, 1))
        if injected is not None:
            y = y + injected[:, :, None]
        y = F.gelu(self.norm1(y))
        n, channels, bins, frames = y.shape
        folded = y.permute(0, 2, 1, 3).reshape(n * bins, channels, frames)
        y = self.dconv(folded).view(n, bins, channels, frames).permute(0, 2, 1, 3)
        return F.glu(self.norm2(self.rewrite(y)), dim=1)


class TemporalEncoder(nn.Module):
    """An encoder level of the waveform branch, or the shared one, which divides the samples by the stride, rounded up.

    Args:
        inputs: input channels.
        width: output channels.
        is_shared: the innermost level, which halves the frames and has norms, an LSTM and attention.
    """

    def __init__(self, inputs: int, width: int, *, is_shared: bool = False) -> None:
        super().__init__()
        self.conv = _temporal_conv(inputs, width, is_shared=is_shared)
        self.norm1 = _norm(width, is_deep=is_shared)
        self.rewrite = nn.Conv1d(width, 2 * width, 1)
        self.norm2 = _norm(2 * width, is_deep=is_shared)
        self.dconv = ResidualBranches(width, is_deep=is_shared)

    def forward(self, x: Tensor) -> Tensor:
        """Encode [N, C, T]."""
        y = F.gelu(self.norm1(_strided(self.conv, x)))
        return F.glu(self.norm2(self.rewrite(self.dconv(y))), dim=1)


class LastTemporalEncoder(nn.Module):
    """The end of the waveform branch: a convolution whose output the spectrogram branch adds.

    Its norm is stored in published checkpoints, but not used.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv = _temporal_conv(inputs, width, is_shared=False)
        self.norm1 = nn.GroupNorm(NORM_GROUPS, width).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [N, C, T]."""
        return _strided(self.conv, x)


def _temporal_conv(inputs: int, width: int, *, is_shared: bool) -> nn.Conv1d:
    if is_shared:
        return nn.Conv1d(inputs, width, SHARED_KERNEL, SHARED_STRIDE, SHARED_PAD)
    return nn.Conv1d(inputs, width, KERNEL, STRIDE, PAD)


def _strided(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """Convolve ``x``, zero-padded at its end to a multiple of the stride."""
    y: Tensor = conv(F.pad(x, (0, -x.shape[-1] % conv.stride[0])))
    return y


class SpectralDecoder(nn.Module):
    """A decoder level of the spectrogram branch, which multiplies the bins by the stride.

    Args:
        width: input channels.
        outputs: output channels.
        is_deep: as for the encoder; such a level has one bin as input.
        is_last: the outermost level, which has no activation at its end.
    """

    def __init__(self, width: int, outputs: int, *, is_deep: bool, is_last: bool) -> None:
        super().__init__()
        self.is_last = is_last
        self.crop = 0 if is_deep else PAD
        self.conv_tr = nn.ConvTranspose2d(width, outputs, (KERNEL, 1), (STRIDE, 1))
        self.norm2 = _norm(outputs, is_deep=is_deep)
        self.rewrite = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.norm1 = _norm(2 * width, is_deep=is_deep)

    def forward(self, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """Decode the sum of two [N, C, F, T]; also return the input of the transposed convolution."""
        before = self._rewritten(x, skip)
        y = self.norm2(self.conv_tr(before))
        if self.crop:
            y = y[:, :, self.crop : -self.crop]
        return (y if self.is_last else F.gelu(y)), before

    def _rewritten(self, x: Tensor, skip: Tensor) -> Tensor:
        bins = x.shape[2]
        if torch.is_grad_enabled() or bins <= BINS_PER_TILE:
            return F.glu(self.norm1(self.rewrite(x + skip)), dim=1)

        def tile(start: int) -> Tensor:
            stop = min(start + BINS_PER_TILE, bins)
            first, last = max(0, start - 1), min(bins, stop + 1)
            whole = F.glu(self.rewrite(x[:, :, first:last] + skip[:, :, first:last]), dim=1)
            return whole[:, :, start - first : stop - first]

        return assembled((tile(start) for start in range(0, bins, BINS_PER_TILE)), bins, axis=2)


class TemporalDecoder(nn.Module):
    """A decoder level of the waveform branch, or the shared one, to the length of the encoder's input.

    Args:
        width: input channels.
        outputs: output channels.
        is_shared: as for the encoder.
        is_last: the outermost level, which has no activation at its end.
    """

    def __init__(self, width: int, outputs: int, *, is_shared: bool = False, is_last: bool = False) -> None:
        super().__init__()
        self.is_last = is_last
        self.crop = SHARED_PAD if is_shared else PAD
        kernel, stride = (SHARED_KERNEL, SHARED_STRIDE) if is_shared else (KERNEL, STRIDE)
        self.conv_tr = nn.ConvTranspose1d(width, outputs, kernel, stride)
        self.norm2 = _norm(outputs, is_deep=is_shared)
        self.rewrite = nn.Conv1d(width, 2 * width, 3, padding=1)
        self.norm1 = _norm(2 * width, is_deep=is_shared)

    def forward(self, x: Tensor | None, skip: Tensor, length: int) -> Tensor:
        """Decode [N, C, T] to [N, outputs, length]; the innermost level decodes only its skip connection."""
        y = F.glu(self.norm1(self.rewrite(skip if x is None else x + skip)), dim=1)
        y = self.norm2(self.conv_tr(y))[..., self.crop : self.crop + length]
        return y if self.is_last else F.gelu(y)


class FirstTemporalDecoder(nn.Module):
    """The start of the waveform branch's decoder, from the spectrogram branch at its level of one bin."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.conv_tr = nn.ConvTranspose1d(width, outputs, KERNEL, STRIDE)
        self.norm2 = nn.GroupNorm(NORM_GROUPS, outputs)

    def forward(self, x: Tensor, length: int) -> Tensor:
        """Decode [N, C, T] to [N, outputs, length]."""
        return F.gelu(self.norm2(self.conv_tr(x))[..., PAD : PAD + length])
