"""A U-Net that separates an accompaniment into several sources by complex masks.

As :mod:`my_submission.networks.tfc_tdf`, with these differences: fewer low bins than high ones are folded into a row,
for a finer resolution of bass. Additional inputs are the magnitudes of both channels, their sum and their difference.
Blocks are residual with the norms in front (Kim et al., "Sound demixing challenge 2023 music demixing track technical
report: TFC-TDF-UNet v3"). Decoders scale and shift their skips. The sources share all layers but the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from my_submission.networks.spectra import (
    POWER_EPS,
    apply_masks,
    at_unit_power,
    fold_bins,
    start_at_equal_shares,
    unfold_bins,
)
from my_submission.networks.tfc_tdf import SPECTRUM_CHANNELS

FEATURES = SPECTRUM_CHANNELS + 4
"""Channels of the first layer: the spectrum and four magnitudes."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """Neighbouring bins with the same folding.

    Args:
        bins: number of bins.
        bins_per_row: bins folded into the channels of one row.
    """

    bins: int
    bins_per_row: int

    def __post_init__(self) -> None:
        if min(self.bins, self.bins_per_row) < 1 or self.bins % self.bins_per_row:
            raise ValueError(f"a band of {self.bins} bins cannot be folded by {self.bins_per_row}")

    @property
    def rows(self) -> int:
        """Number of rows after folding."""
        return self.bins // self.bins_per_row


@dataclass(frozen=True, kw_only=True)
class JointConfig:
    """Shape of a joint network.

    Args:
        bands: bands from the lowest bin up.
        widths: channels of each level, outermost first.
        outer_convs: 3x3 convolutions in a block of the outermost level, 1 or 2; inner blocks have 2.
        bottleneck: the factor by which the TDF narrows its axis.
        compression: exponent of the input's magnitudes after scaling to unit mean power.
        targets: sources predicted.
    """

    bands: tuple[Band, ...]
    widths: tuple[int, ...]
    outer_convs: int = 2
    bottleneck: int = 2
    compression: float = 0.3
    targets: int = 3

    def __post_init__(self) -> None:
        if not self.bands or len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError("there must be a band and two positive widths")
        if self.outer_convs not in {1, 2}:
            raise ValueError(f"outer_convs={self.outer_convs} must be 1 or 2")
        if self.bottleneck < 1 or self.targets < 1:
            raise ValueError("bottleneck and targets must be at least 1")
        if self.rows % self.frame_multiple or (self.rows // self.frame_multiple) < self.bottleneck:
            raise ValueError(f"{self.rows} rows cannot be halved {len(self.widths) - 1} times and narrowed")
        if not 0.0 < self.compression <= 1.0:
            raise ValueError(f"compression={self.compression} must lie in (0, 1]")

    @property
    def bins(self) -> int:
        """Bins of the spectrum."""
        return sum(band.bins for band in self.bands)

    @property
    def rows(self) -> int:
        """Length of the frequency axis inside the network."""
        return sum(band.rows for band in self.bands)

    @property
    def frame_multiple(self) -> int:
        """The frame count must be a multiple of this."""
        return 1 << (len(self.widths) - 1)


class ResidualBlock(nn.Module):
    """Residual block over ``[N, channels, frames, rows]``: convolutions with a TDF between them."""

    def __init__(self, channels: int, rows: int, *, n_convs: int, bottleneck: int) -> None:
        super().__init__()
        narrow = rows // bottleneck
        self.before = _normed(channels, nn.Conv2d(channels, channels, 3, padding=1))
        self.tdf = nn.Sequential(
            _normed(channels, nn.Linear(rows, narrow, bias=False)),
            _normed(channels, nn.Linear(narrow, rows, bias=False)),
        )
        self.after = _normed(channels, nn.Conv2d(channels, channels, 3, padding=1)) if n_convs == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the input's shape."""
        y = self.before(x)
        y = y + self.tdf(y)
        out: Tensor = x + (y if self.after is None else self.after(y))
        return out


class JointNet(nn.Module):
    """The network: ``float32 [N, 4, bins, frames]`` to ``[N, targets, 4, bins, frames]``.

    Channels are left real, left imaginary, right real, right imaginary; the targets need not add up to the input.
    ``frames`` must be a multiple of ``config.frame_multiple``.
    """

    def __init__(self, config: JointConfig) -> None:
        super().__init__()
        self.config = config
        widths, outer = config.widths, config.widths[0]

        def block(level: int) -> ResidualBlock:
            n_convs = config.outer_convs if level == 0 else 2
            return ResidualBlock(widths[level], config.rows >> level, n_convs=n_convs, bottleneck=config.bottleneck)

        self.first = nn.ModuleList(nn.Conv2d(FEATURES * band.bins_per_row, outer, 1) for band in config.bands)
        self.encoders = nn.ModuleList(block(level) for level in range(len(widths) - 1))
        self.down = nn.ModuleList(_normed(a, nn.Conv2d(a, b, 2, 2)) for a, b in pairwise(widths))
        self.middle = block(len(widths) - 1)
        self.up = nn.ModuleList(
            _normed(b, nn.ConvTranspose2d(b, 2 * a, 2, 2)) for a, b in reversed(list(pairwise(widths)))
        )
        self.decoders = nn.ModuleList(block(level) for level in reversed(range(len(widths) - 1)))
        self.last_norm = nn.Sequential(nn.InstanceNorm2d(outer, affine=True), nn.ReLU(inplace=True))
        outputs = SPECTRUM_CHANNELS * config.targets
        self.last = nn.ModuleList(nn.Conv2d(outer, outputs * band.bins_per_row, 1) for band in config.bands)
        for band, layer in zip(config.bands, self.last, strict=True):
            start_at_equal_shares(cast("nn.Conv2d", layer), band.bins_per_row)

    @property
    def blocks(self) -> list[nn.Module]:
        """Encoders, middle and decoders, in the order in which they run."""
        return [*self.encoders, self.middle, *self.decoders]

    def forward(self, x: Tensor) -> Tensor:
        """Predict the spectrum of every target, in the units of ``x``."""
        y = self._folded(self._features(x)).transpose(-1, -2)
        skips = []
        for encoder, down in zip(self.encoders, self.down, strict=True):
            y = encoder(y)
            skips.append(y)
            y = down(y)
        y = self.middle(y)
        for up, decoder in zip(self.up, self.decoders, strict=True):
            scale, shift = up(y).chunk(2, dim=1)
            skip = skips.pop()
            y = decoder(skip + skip * scale + shift)
        return apply_masks(x, self._unfolded(self.last_norm(y).transpose(-1, -2)).float(), self.config.targets)

    def _features(self, x: Tensor) -> Tensor:
        """Return the spectrum with compressed magnitudes, and magnitudes of left, right, middle and side."""
        exponent = self.config.compression
        x = at_unit_power(x)
        left, right = x[:, 0:2], x[:, 2:4]
        pairs = torch.stack((left, right, 0.5 * (left + right), 0.5 * (left - right)), dim=1)
        power = (pairs * pairs).sum(dim=2) + POWER_EPS
        factor = power[:, :2] ** ((exponent - 1.0) / 2.0)
        compressed = pairs[:, :2] * factor[:, :, None]
        return torch.cat((compressed.flatten(1, 2), power ** (exponent / 2.0)), dim=1)

    def _folded(self, x: Tensor) -> Tensor:
        """Fold ``[N, features, bins, frames]`` to ``[N, channels, rows, frames]``."""
        rows, first_bin = [], 0
        for band, layer in zip(self.config.bands, self.first, strict=True):
            rows.append(layer(fold_bins(x[:, :, first_bin : first_bin + band.bins], band.bins_per_row)))
            first_bin += band.bins
        return torch.cat(rows, dim=2)

    def _unfolded(self, y: Tensor) -> Tensor:
        """Unfold ``[N, channels, rows, frames]`` to masks ``[N, targets * 4, bins, frames]``."""
        bins, first_row = [], 0
        for band, layer in zip(self.config.bands, self.last, strict=True):
            bins.append(unfold_bins(layer(y[:, :, first_row : first_row + band.rows]), band.bins_per_row))
            first_row += band.rows
        return torch.cat(bins, dim=2)


def _normed(channels: int, layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.InstanceNorm2d(channels, affine=True), nn.ReLU(inplace=True), layer)
