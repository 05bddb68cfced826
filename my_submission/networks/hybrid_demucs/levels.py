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

BINS_TOGETHER = 32
"""Output bins that a level works on at once where no gradient is needed: what lies between its layers stays small."""


def _norm(channels: int, *, is_deep: bool) -> nn.Module:
    return nn.GroupNorm(NORM_GROUPS, channels) if is_deep else nn.Identity()


class SpectralEncoder(nn.Module):
    """A level of the spectrogram branch: bins are divided by the stride.

    Args:
        inputs: channels that come in.
        width: channels that go out.
        is_deep: whether it has norms, a recurrence and an attention; such a level takes bins down to one.
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
        """Encode [N, C, F, T]; ``injected`` [N, width, T] is what the waveform branch adds, where it ends."""
        bins = (x.shape[2] + 2 * self.pad - KERNEL) // STRIDE + 1
        if torch.is_grad_enabled() or bins <= BINS_TOGETHER:
            return self._encode(F.pad(x, (0, 0, self.pad, self.pad)), injected)
        # Outer levels work on every bin alone once it is convolved.
        whole: Tensor | None = None
        for start in range(0, bins, BINS_TOGETHER):
            stop = min(start + BINS_TOGETHER, bins)
            first, last = start * STRIDE - self.pad, (stop - 1) * STRIDE - self.pad + KERNEL
            below, above = max(0, -first), max(0, last - x.shape[2])
            part = self._encode(F.pad(x[:, :, max(0, first) : last], (0, 0, below, above)), None)
            if whole is None:
                whole = part.new_empty(*part.shape[:2], bins, part.shape[3])
            whole[:, :, start:stop] = part
        if whole is None:
            raise ValueError(f"{x.shape[2]} bins are too few for a level")
        return whole

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
    """A level of the waveform branch, or the one both share: samples are divided by the stride, rounded up.

    Args:
        inputs: channels that come in.
        width: channels that go out.
        is_shared: the innermost level, which halves the frames and has norms, a recurrence and an attention.
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
    """Where the waveform branch ends: a convolution whose result the spectrogram branch takes in.

    Its norm is stored with the published weights and never used.
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
    """Convolve what is padded at its end to a multiple of the stride."""
    y: Tensor = conv(F.pad(x, (0, -x.shape[-1] % conv.stride[0])))
    return y


class SpectralDecoder(nn.Module):
    """A level of the spectrogram branch upwards: bins are multiplied by the stride.

    Args:
        width: channels that come in.
        outputs: channels that go out.
        is_deep: as for the encoder; the bins then begin with one.
        is_last: the outermost, which ends without an activation.
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
        """Decode the sum of two [N, C, F, T]; also what the level knew before it widened the bins."""
        before = self._rewritten(x, skip)
        y = self.norm2(self.conv_tr(before))
        if self.crop:
            y = y[:, :, self.crop : -self.crop]
        return (y if self.is_last else F.gelu(y)), before

    def _rewritten(self, x: Tensor, skip: Tensor) -> Tensor:
        bins = x.shape[2]
        if torch.is_grad_enabled() or bins <= BINS_TOGETHER:
            return F.glu(self.norm1(self.rewrite(x + skip)), dim=1)
        whole = torch.empty_like(x)
        for start in range(0, bins, BINS_TOGETHER):
            stop = min(start + BINS_TOGETHER, bins)
            first, last = max(0, start - 1), min(bins, stop + 1)
            part = F.glu(self.rewrite(x[:, :, first:last] + skip[:, :, first:last]), dim=1)
            whole[:, :, start:stop] = part[:, :, start - first : stop - first]
        return whole


class TemporalDecoder(nn.Module):
    """A level of the waveform branch upwards, or the one both share; the length is that of the encoder's input.

    Args:
        width: channels that come in.
        outputs: channels that go out.
        is_shared: as for the encoder.
        is_last: the outermost, which ends without an activation.
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
        """Decode [N, C, T] to [N, outputs, length]; the innermost level has nothing but its skip connection."""
        y = F.glu(self.norm1(self.rewrite(skip if x is None else x + skip)), dim=1)
        y = self.norm2(self.conv_tr(y))[..., self.crop : self.crop + length]
        return y if self.is_last else F.gelu(y)


class FirstTemporalDecoder(nn.Module):
    """Where the waveform branch begins again: from what the spectrogram branch knows at its one bin."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.conv_tr = nn.ConvTranspose1d(width, outputs, KERNEL, STRIDE)
        self.norm2 = nn.GroupNorm(NORM_GROUPS, outputs)

    def forward(self, x: Tensor, length: int) -> Tensor:
        """Widen [N, C, T] to [N, outputs, length]."""
        return F.gelu(self.norm2(self.conv_tr(x))[..., PAD : PAD + length])
