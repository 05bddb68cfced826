"""TFC-TDF: the spectrogram network of KUIELAB-MDX-Net, in its published form and in the starter's.

A U-Net over ``[N, channels, bins, frames]``. Every block is a chain of convolutions over time and frequency (TFC) plus
a two-layer perceptron over the frequency axis (TDF) of its result; skips are multiplied, not concatenated. Definition:
``ConvTDFNet``, trim variant, of the MDX 2021 submission.

The starter networks differ in three values: instance normalisation, a complex mask of the input as output, and
neighbouring bins folded into channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn

from my_submission.geometry import ReceptiveField
from my_submission.networks.spectra import (
    POWER_EPS,
    apply_masks,
    at_unit_power,
    fold_bins,
    start_at_equal_shares,
    unfold_bins,
)

Norm = Literal["batch", "instance"]
Output = Literal["mapping", "complex_mask"]

SPECTRUM_CHANNELS = 4
"""Left real, left imaginary, right real, right imaginary."""


@dataclass(frozen=True, kw_only=True)
class TfcTdfConfig:
    """Shape of a TFC-TDF network.

    Args:
        bins: kept frequency bins F.
        depth: L, the odd number of blocks, with ``L // 2`` encoders and as many decoders.
        growth: channels of the first block, and channels added at each downsampling.
        convs_per_block: convolutions in a block.
        kernel: side of those convolutions, odd.
        bottleneck: the factor bn by which the TDF narrows its axis; 0 for a single layer that keeps its length.
        has_tdf: whether blocks have a TDF, which is true of all published networks.
        tdf_bias: whether the linear layers of the TDF have a bias.
        channels: real channels of the spectrum, twice the audio channels.
        norm: ``batch`` as published, ``instance`` for training with small batches.
        output: ``mapping`` returns the target's spectrum, as published; ``complex_mask`` multiplies the input by a
            predicted complex ratio mask per audio channel and bin.
        bins_per_row: neighbouring bins folded into channels before the first layer; 1 as published.
        compression: exponent of the input's magnitudes after scaling to unit mean power; 1, as published, leaves the
            input unchanged.
        targets: sources predicted at once, each with ``channels`` output channels; 1 as published.
    """

    bins: int
    depth: int
    growth: int
    convs_per_block: int = 3
    kernel: int = 3
    bottleneck: int = 8
    has_tdf: bool = True
    tdf_bias: bool = False
    channels: int = SPECTRUM_CHANNELS
    norm: Norm = "batch"
    output: Output = "mapping"
    bins_per_row: int = 1
    compression: float = 1.0
    targets: int = 1

    def __post_init__(self) -> None:
        for name in ("growth", "convs_per_block", "bins_per_row", "targets"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if self.bottleneck < 0:
            raise ValueError(f"bottleneck={self.bottleneck} must not be negative")
        if self.depth < 3 or self.depth % 2 == 0:
            raise ValueError(f"depth={self.depth} must be odd and at least 3")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel={self.kernel} must be odd")
        if self.channels < 2 or self.channels % 2:
            raise ValueError(f"channels={self.channels} must be even: pairs of real and imaginary")
        if self.bins < 1 or self.bins % (self.bins_per_row * self.frame_multiple):
            raise ValueError(
                f"bins={self.bins} must be a multiple of bins_per_row x 2^(depth//2) = "
                f"{self.bins_per_row * self.frame_multiple}"
            )
        if self.bins // self.bins_per_row // self.frame_multiple < self.bottleneck:
            raise ValueError(f"bottleneck={self.bottleneck} leaves no unit in the innermost TDF of {self.bins} bins")
        if not 0.0 < self.compression <= 1.0:
            raise ValueError(f"compression={self.compression} must lie in (0, 1]")

    @property
    def scales(self) -> int:
        """Number of downsamplings."""
        return self.depth // 2

    @property
    def frame_multiple(self) -> int:
        """The frame count must be a multiple of this."""
        return 1 << self.scales

    @property
    def reach(self) -> ReceptiveField | None:
        """Receptive field along time; None if every frame depends on all others."""
        if self.norm != "batch" or self.compression != 1.0:
            return None
        return ReceptiveField(scales=self.scales, frames_per_block=self.convs_per_block * (self.kernel // 2))

    @property
    def rows(self) -> int:
        """Length of the frequency axis inside the network."""
        return self.bins // self.bins_per_row


def _norm(kind: Norm, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels, affine=True)


class TfcTdfBlock(nn.Module):
    """Convolutions over ``[N, channels, frames, rows]``, plus the TDF of their result."""

    def __init__(self, config: TfcTdfConfig, channels: int, rows: int) -> None:
        super().__init__()
        self.H = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, config.kernel, padding=config.kernel // 2),
                _norm(config.norm, channels),
                nn.ReLU(),
            )
            for _ in range(config.convs_per_block)
        )
        lengths = [rows, rows // config.bottleneck, rows] if config.bottleneck else [rows, rows]
        self.tdf: nn.Sequential | None = None
        if config.has_tdf:
            layers: list[nn.Module] = []
            for before, after in pairwise(lengths):
                linear = nn.Linear(before, after, bias=config.tdf_bias)
                layers += [linear, _norm(config.norm, channels), nn.ReLU()]
            self.tdf = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the input's shape."""
        for layer in self.H:
            x = layer(x)
        y: Tensor = x if self.tdf is None else x + self.tdf(x)
        return y


class TfcTdfNet(nn.Module):
    """The network: ``float32 [N, channels, bins, frames]`` to ``[N, targets * channels, bins, frames]``.

    ``frames`` must be a multiple of ``config.frame_multiple``. Parameter names are those of the published submission.
    """

    def __init__(self, config: TfcTdfConfig) -> None:
        super().__init__()
        self.config = config
        growth, folded = config.growth, config.channels * config.bins_per_row
        widths = [growth * (level + 1) for level in range(config.scales + 1)]
        rows = [config.rows >> level for level in range(config.scales + 1)]

        def step(layer: nn.Module, channels: int) -> nn.Sequential:
            return nn.Sequential(layer, _norm(config.norm, channels), nn.ReLU())

        self.first_conv = step(nn.Conv2d(folded, growth, 1), growth)
        self.ds_dense = nn.ModuleList(TfcTdfBlock(config, c, f) for c, f in zip(widths[:-1], rows[:-1], strict=True))
        self.ds = nn.ModuleList(step(nn.Conv2d(c, c + growth, 2, 2), c + growth) for c in widths[:-1])
        self.mid_dense = TfcTdfBlock(config, widths[-1], rows[-1])
        self.us = nn.ModuleList(step(nn.ConvTranspose2d(c, c - growth, 2, 2), c - growth) for c in widths[:0:-1])
        self.us_dense = nn.ModuleList(
            TfcTdfBlock(config, c, f) for c, f in zip(widths[-2::-1], rows[-2::-1], strict=True)
        )
        final = nn.Conv2d(growth, folded * config.targets, 1)
        self.final_conv = nn.Sequential(final)
        if config.output == "complex_mask":
            start_at_equal_shares(final, config.bins_per_row)

    @property
    def blocks(self) -> list[TfcTdfBlock]:
        """Encoders, bottleneck and decoders, in the order in which they run."""
        blocks = [*self.ds_dense, self.mid_dense, *self.us_dense]
        return cast("list[TfcTdfBlock]", blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Predict the spectrum of every target, in the units of ``x``."""
        y, skips = self.encoded(x)
        for up, dense in zip(self.us, self.us_dense, strict=True):
            y = dense(up(y) * skips.pop())
        y = self.final_conv(y.transpose(-1, -2))
        if self.config.bins_per_row > 1:
            y = unfold_bins(y, self.config.bins_per_row)
        return y if self.config.output == "mapping" else apply_masks(x, y.float(), self.config.targets).flatten(1, 2)

    def encoded(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the outputs of the bottleneck and of every encoder, outermost first, [N, channels, frames, rows]."""
        x = self._compressed(x)
        if self.config.bins_per_row > 1:
            x = fold_bins(x, self.config.bins_per_row)
        y: Tensor = self.first_conv(x).transpose(-1, -2)
        skips = []
        for dense, down in zip(self.ds_dense, self.ds, strict=True):
            y = dense(y)
            skips.append(y)
            y = down(y)
        return self.mid_dense(y), skips

    def for_target(self, index: int) -> TfcTdfNet:
        """Return a copy that predicts only the target of that index."""
        if not 0 <= index < self.config.targets:
            raise ValueError(f"target {index} of a network that predicts {self.config.targets}")
        rows = self.config.channels * self.config.bins_per_row
        state = dict(self.state_dict())
        for name in ("final_conv.0.weight", "final_conv.0.bias"):
            state[name] = state[name][index * rows : (index + 1) * rows]
        single = TfcTdfNet(replace(self.config, targets=1))
        single.load_state_dict(state)
        return single

    def _compressed(self, x: Tensor) -> Tensor:
        """Scale every item to unit mean power, and raise the magnitudes to ``compression``."""
        if self.config.compression == 1.0:
            return x
        x = at_unit_power(x)
        real, imaginary = x[:, 0::2], x[:, 1::2]
        power = real * real + imaginary * imaginary + POWER_EPS
        factor = power ** ((self.config.compression - 1.0) / 2.0)
        return torch.stack((real * factor, imaginary * factor), dim=2).flatten(1, 2)
