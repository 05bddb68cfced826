"""A U-Net that takes an accompaniment apart into several sources at once, by complex masks.

Built of TFC-TDF blocks as :mod:`my_submission.networks.tfc_tdf` is, with these differences. Low bins are folded into
fewer channels than high ones, so that bass is seen at a finer resolution. Magnitudes of both channels, their sum and
their difference stand beside the complex input. Blocks are residual, with their norms in front (Kim et al., "Sound
demixing challenge 2023 music demixing track technical report: TFC-TDF-UNet v3"). A decoder scales its skip and adds to
it. All sources share everything but the last layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from my_submission.networks.tfc_tdf import SPECTRUM_CHANNELS

FEATURES = SPECTRUM_CHANNELS + 4
"""Channels of the input as the first layer sees it: the spectrum and four magnitudes."""

_LEVEL_FLOOR = 1e-8
"""Added to powers before they are divided by, so that digital silence stays silence."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """Neighbouring bins that are folded alike.

    Args:
        bins: how many.
        bins_per_row: folded into the channels of one row.
    """

    bins: int
    bins_per_row: int

    def __post_init__(self) -> None:
        if min(self.bins, self.bins_per_row) < 1 or self.bins % self.bins_per_row:
            raise ValueError(f"a band of {self.bins} bins cannot be folded by {self.bins_per_row}")

    @property
    def rows(self) -> int:
        """Rows it makes."""
        return self.bins // self.bins_per_row


@dataclass(frozen=True, kw_only=True)
class JointConfig:
    """Shape of a joint network.

    Args:
        bands: from the lowest bin up.
        widths: channels of each level, outermost first.
        outer_convs: 3x3 convolutions in a block of the outermost level, 1 or 2; all others have 2.
        bottleneck: the factor by which the TDF narrows its axis.
        compression: exponent applied to the input's magnitudes after scaling to unit mean power.
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
        """Bins the network sees."""
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
    """Over ``[N, channels, frames, rows]``: its input plus convolutions of it with a TDF between them."""

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
        """Same shape out as in."""
        y = self.before(x)
        y = y + self.tdf(y)
        out: Tensor = x + (y if self.after is None else self.after(y))
        return out


class JointNet(nn.Module):
    """The network: ``float32 [N, 4, bins, frames]`` to ``[N, targets, 4, bins, frames]``.

    Channels are left real, left imaginary, right real, right imaginary. What no target claims is the rest, the input
    minus their sum. ``frames`` must be a multiple of ``config.frame_multiple``.
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
        self._start_at_equal_shares()

    @property
    def blocks(self) -> list[nn.Module]:
        """Encoders, middle and decoders in the order in which they run."""
        return [*self.encoders, self.middle, *self.decoders]

    def forward(self, x: Tensor) -> Tensor:
        """Predicts the spectrum of every target, in the units of ``x``."""
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
        return self._masked(x, self._unfolded(self.last_norm(y).transpose(-1, -2)).float())

    def _start_at_equal_shares(self) -> None:
        """Makes an untrained mask close to a quarter of the input everywhere, so that training starts calmly."""
        share = torch.tensor([0.25, 0.0]).repeat(self.config.targets * SPECTRUM_CHANNELS // 2)
        with torch.no_grad():
            for band, layer in zip(self.config.bands, self.last, strict=True):
                weight, bias = layer.parameters()
                weight.mul_(0.1)
                bias.copy_(share.repeat_interleave(band.bins_per_row))

    def _features(self, x: Tensor) -> Tensor:
        """The spectrum at unit mean power with compressed magnitudes; magnitudes of left, right, middle and side."""
        exponent = self.config.compression
        x = x / torch.sqrt(torch.mean(x * x, dim=(1, 2, 3), keepdim=True) + _LEVEL_FLOOR)
        left, right = x[:, 0:2], x[:, 2:4]
        pairs = torch.stack((left, right, 0.5 * (left + right), 0.5 * (left - right)), dim=1)
        power = (pairs * pairs).sum(dim=2) + _LEVEL_FLOOR
        factor = power[:, :2] ** ((exponent - 1.0) / 2.0)
        compressed = pairs[:, :2] * factor[:, :, None]
        return torch.cat((compressed.flatten(1, 2), power ** (exponent / 2.0)), dim=1)

    def _folded(self, x: Tensor) -> Tensor:
        """``[N, features, bins, frames]`` to ``[N, channels, rows, frames]``."""
        rows, first_bin = [], 0
        for band, layer in zip(self.config.bands, self.first, strict=True):
            part = x[:, :, first_bin : first_bin + band.bins]
            part = part.reshape(-1, x.shape[1], band.rows, band.bins_per_row, x.shape[-1])
            rows.append(layer(part.permute(0, 1, 3, 2, 4).flatten(1, 2)))
            first_bin += band.bins
        return torch.cat(rows, dim=2)

    def _unfolded(self, y: Tensor) -> Tensor:
        """``[N, channels, rows, frames]`` to masks ``[N, targets * 4, bins, frames]``."""
        bins, first_row = [], 0
        for band, layer in zip(self.config.bands, self.last, strict=True):
            part = layer(y[:, :, first_row : first_row + band.rows])
            part = part.reshape(-1, SPECTRUM_CHANNELS * self.config.targets, band.bins_per_row, band.rows, y.shape[-1])
            bins.append(part.permute(0, 1, 3, 2, 4).flatten(2, 3))
            first_row += band.rows
        return torch.cat(bins, dim=2)

    def _masked(self, x: Tensor, mask: Tensor) -> Tensor:
        """Complex product of the input with each target's mask."""
        shape = (-1, self.config.targets, SPECTRUM_CHANNELS // 2, 2, *x.shape[2:])
        real, imaginary = mask.reshape(shape).unbind(3)
        x_real, x_imaginary = x.reshape(-1, 1, *shape[2:]).unbind(3)
        product = (x_real * real - x_imaginary * imaginary, x_real * imaginary + x_imaginary * real)
        return torch.stack(product, dim=3).flatten(2, 3)


def _normed(channels: int, layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.InstanceNorm2d(channels, affine=True), nn.ReLU(inplace=True), layer)
