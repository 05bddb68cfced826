"""The starter's conditioned U-Net: TFC-TDF blocks with decoders gated per source.

Encoder and bottleneck are unconditioned, so one pass serves every source. Every decoder is preceded by a gated PoCM,
h·σ(PoCM(h)), and the last layer is a PoCM. Their coefficients are looked up by the source's number; for so few sources,
a network that generates them from an embedding would add nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from my_submission.networks.lasaft.conditions import Coefficients
from my_submission.networks.lasaft.layers import each_source, pointwise_modulated
from my_submission.networks.spectra import channel_major
from my_submission.networks.tfc_tdf import SPECTRUM_CHANNELS, TfcTdfConfig, TfcTdfNet

GATE_SCALE = 8.0
"""Ratio of gate coefficients to stored parameters, so that Adam, whose step sizes are equal for all parameters, changes
gates faster than the convolutions of a pretrained trunk."""


@dataclass(frozen=True, kw_only=True)
class GatedTfcTdfConfig:
    """Shape of a gated network.

    Args:
        n_fft: transform length.
        trunk: the U-Net, over the lowest ``trunk.bins`` bins; the mask is zero above them. Its targets are the sources.
    """

    n_fft: int
    trunk: TfcTdfConfig

    def __post_init__(self) -> None:
        if self.trunk.bins > self.bins:
            raise ValueError(f"trunk.bins={self.trunk.bins} is more than the {self.bins} bins of n_fft={self.n_fft}")
        if self.trunk.channels != SPECTRUM_CHANNELS:
            raise ValueError(f"trunk.channels={self.trunk.channels} must be {SPECTRUM_CHANNELS}: complex stereo")

    @property
    def bins(self) -> int:
        """Bins of the spectrum, including that of the Nyquist frequency."""
        return self.n_fft // 2 + 1

    @property
    def frame_multiple(self) -> int:
        """The frame count must be a multiple of this."""
        return self.trunk.frame_multiple

    @property
    def control_input_dim(self) -> int:
        """Number of sources."""
        return self.trunk.targets

    @property
    def input_channels(self) -> int:
        """Channels of complex stereo spectra."""
        return self.trunk.channels


class SourceGate(nn.Module):
    """A gated PoCM per source, ``[N, C, T, f]`` to the same shape; it is initialised to gates of one half."""

    def __init__(self, n_sources: int, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(n_sources, channels, channels))
        self.beta = nn.Parameter(torch.zeros(n_sources, channels))

    def forward(self, x: Tensor, source_index: Tensor) -> Tensor:
        """Gate each item for its source."""
        gamma, beta = GATE_SCALE * self.gamma[source_index], GATE_SCALE * self.beta[source_index]
        return Coefficients(gamma, beta, is_gated=True).applied(x)


class GatedTfcTdfNet(nn.Module):
    """Spectra of mixtures and source numbers to complex masks.

    ``float32 [N, 4, frames, n_fft/2 + 1]`` and ``int64 [N]`` to the input's shape; frames are a multiple of
    ``config.frame_multiple``.
    """

    def __init__(self, config: GatedTfcTdfConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = TfcTdfNet(config.trunk)
        deepest_first = range(config.trunk.scales, 0, -1)
        self.gates = nn.ModuleList(
            SourceGate(config.control_input_dim, config.trunk.growth * level) for level in deepest_first
        )

    def forward(self, x: Tensor, source_index: Tensor) -> Tensor:
        """Estimate one source per item."""
        return self._mask(self.features(x, source_index), source_index)

    def separate(self, x: Tensor, sources: Tensor) -> Tensor:
        """Estimate several sources of every item: ``[N, 4, T, bins]`` and ``int64 [S]`` to ``[N, S, 4, T, bins]``."""
        n, n_sources = x.shape[0], sources.shape[0]
        numbers = sources.repeat(n)
        masks = self._mask(self._decoded(*self._encoded(x), numbers, n_sources=n_sources), numbers)
        return masks.view(n, n_sources, *masks.shape[1:])

    def features(self, x: Tensor, source_index: Tensor) -> Tensor:
        """Return the input of the last layer for one source per item: ``[N, growth, T, rows]``."""
        return self._decoded(*self._encoded(x), source_index, n_sources=1)

    def last_layer(self) -> Tensor:
        """Return a copy of the last layer's weights and biases.

        ``[sources, 2 (left, right), 2 (real, imaginary), bins_per_row, growth + 1]``, biases last.
        """
        trunk, last = self.config.trunk, self._last
        both = torch.cat((last.weight.detach().flatten(1), cast("Tensor", last.bias).detach()[:, None]), dim=1)
        return both.view(trunk.targets, trunk.channels // 2, 2, trunk.bins_per_row, trunk.growth + 1).clone()

    @torch.no_grad()
    def set_last_layer(self, both: Tensor) -> None:
        """Inverse of :meth:`last_layer`."""
        rows, last = both.flatten(0, 3), self._last
        last.weight.copy_(rows[:, :-1].view(last.weight.shape))
        cast("Tensor", last.bias).copy_(rows[:, -1])

    @property
    def _last(self) -> nn.Conv2d:
        return cast("nn.Conv2d", self.trunk.final_conv[0])

    def _encoded(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.trunk.encoded(channel_major(x)[:, :, : self.config.trunk.bins])

    def _decoded(self, y: Tensor, skips: list[Tensor], source_index: Tensor, *, n_sources: int) -> Tensor:
        """Decode the sources of every item; only the first upsampling is common to them."""
        trunk = self.trunk
        y = each_source(trunk.us[0](y) * skips[-1], n_sources)
        y = trunk.us_dense[0](self.gates[0](y, source_index))
        for up, dense, gate, skip in zip(trunk.us[1:], trunk.us_dense[1:], self.gates[1:], skips[-2::-1], strict=True):
            y = dense(gate(up(y) * each_source(skip, n_sources), source_index))
        return y

    def _mask(self, y: Tensor, source_index: Tensor) -> Tensor:
        """Apply the last layer, unfold it to part-major bins, and pad with zeros above the trunk's bins."""
        trunk, last = self.config.trunk, self._last
        weight = last.weight.view(trunk.targets, -1, trunk.growth)[source_index]
        bias = cast("Tensor", last.bias).view(trunk.targets, -1)[source_index]
        folded = pointwise_modulated(y, weight.transpose(1, 2), bias)
        frames = folded.shape[2]
        parts = folded.view(-1, trunk.channels // 2, 2, trunk.bins_per_row, frames, trunk.rows)
        mask = parts.permute(0, 2, 1, 4, 5, 3).reshape(-1, trunk.channels, frames, trunk.bins)
        return F.pad(mask, (0, self.config.bins - trunk.bins))
