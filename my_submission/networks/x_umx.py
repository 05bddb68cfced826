"""X-UMX: Open-Unmix for all sources at once, with crossing averages ("All for One and One for All", 2021).

In the form and under the key names of AIMLESS, where grouped convolutions contain the parameters of each source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from my_submission.networks.strict_loading import Where, count_of, known_shapes, network_of, shape_of

LSTM_NAMES = ("bass", "drums", "vocals", "other")
"""Names of the stored LSTMs. Their outputs are averaged, so they are not related to the sources of the output."""

N_SOURCES = len(LSTM_NAMES)


@dataclass(frozen=True)
class XUmxConfig:
    """Shape of an X-UMX.

    Attributes:
        n_fft: transform length.
        hidden_channels: features per frame.
        max_bins: bins of the network input; 1487 reach to 16 kHz.
        nb_channels: channels of the mixture and of each source.
        nb_layers: layers of each LSTM.
        dropout: between those layers, in training.
    """

    n_fft: int = 4096
    hidden_channels: int = 512
    max_bins: int = 1487
    nb_channels: int = 2
    nb_layers: int = 3
    dropout: float = 0.4

    def __post_init__(self) -> None:
        if min(self.nb_channels, self.nb_layers) < 1 or self.hidden_channels < 2 or self.hidden_channels % 2:
            raise ValueError(f"sizes must be at least 1, and hidden_channels even: {self}")
        if self.n_fft % 2 or not 0 < self.max_bins <= self.bins:
            raise ValueError(f"max_bins={self.max_bins} does not fit n_fft={self.n_fft}")

    @property
    def n_sources(self) -> int:
        """Sources that are masked; every X-UMX has four."""
        return N_SOURCES

    @property
    def bins(self) -> int:
        """Bins of the spectrum."""
        return self.n_fft // 2 + 1


class XUmx(nn.Module):
    """Masks of four sources: float32 magnitudes [batch, channels, bins, frames] to [batch, 4, channels, bins, frames].

    Masks are not negative and have no upper bound.
    """

    def __init__(self, config: XUmxConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or XUmxConfig()
        hidden, inputs = config.hidden_channels, config.nb_channels * config.max_bins
        self.input_means = nn.Parameter(torch.zeros(N_SOURCES * config.max_bins))
        self.input_scale = nn.Parameter(torch.ones(N_SOURCES * config.max_bins))
        self.output_means = nn.Parameter(torch.zeros(N_SOURCES * config.bins))
        self.output_scale = nn.Parameter(torch.ones(N_SOURCES * config.bins))
        self.affine1 = nn.Sequential(
            _grouped(N_SOURCES * inputs, hidden), nn.BatchNorm1d(N_SOURCES * hidden), nn.Tanh()
        )
        for name in LSTM_NAMES:
            self.add_module(
                f"{name}_lstm",
                nn.LSTM(
                    hidden,
                    hidden // 2,
                    num_layers=config.nb_layers,
                    bidirectional=True,
                    dropout=config.dropout if config.nb_layers > 1 else 0.0,
                ),
            )
        estimated = config.nb_channels * config.bins
        self.affine2 = nn.Sequential(
            _grouped(N_SOURCES * 2 * hidden, hidden),
            nn.BatchNorm1d(N_SOURCES * hidden),
            nn.ReLU(),
            _grouped(N_SOURCES * hidden, estimated),
            nn.BatchNorm1d(N_SOURCES * estimated),
        )

    def forward(self, magnitude: Tensor) -> Tensor:
        """Estimate the masks."""
        config = self.config
        batch, channels, _, frames = magnitude.shape
        low = magnitude[:, None, :, : config.max_bins]
        scaled = (low + _per_bin(self.input_means, config.max_bins)) * _per_bin(self.input_scale, config.max_bins)
        each = self.affine1(scaled.reshape(batch, -1, frames)).view(batch, N_SOURCES, -1, frames)
        crossed = each.mean(1)
        steps = crossed.permute(2, 0, 1)
        recurred = torch.stack([getattr(self, f"{name}_lstm")(steps)[0] for name in LSTM_NAMES]).mean(0)
        both = torch.cat([crossed, recurred.permute(1, 2, 0)], dim=1).repeat(1, N_SOURCES, 1)
        estimated = self.affine2(both).view(batch, N_SOURCES, channels, config.bins, frames)
        scale, means = (_per_bin(values, config.bins) for values in (self.output_scale, self.output_means))
        return torch.relu(estimated * scale + means)


def _grouped(inputs: int, outputs_each: int) -> nn.Conv1d:
    return nn.Conv1d(inputs, N_SOURCES * outputs_each, 1, groups=N_SOURCES, bias=False)


def _per_bin(values: Tensor, bins: int) -> Tensor:
    """Broadcast one value per source and bin over channels and frames."""
    return values.view(N_SOURCES, 1, bins, 1)


def from_state_dict(state: Mapping[str, Tensor], *, where: Where = None) -> XUmx:
    """Return the network of a state dict in evaluation mode, on the state's memory; sizes are read from the shapes.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    max_bins = shape_of(state, "input_means", (None,), where=where)[0] // N_SOURCES
    bins = shape_of(state, "output_means", (None,), where=where)[0] // N_SOURCES
    width, inputs, _ = shape_of(state, "affine1.0.weight", (None, None, 1), where=where)
    layers = count_of(state, rf"{LSTM_NAMES[0]}_lstm\.weight_ih_l(\d+)")
    with known_shapes("X-UMX", where):
        config = XUmxConfig(2 * (bins - 1), width // N_SOURCES, max_bins, inputs // max(1, max_bins), layers)
    return network_of(lambda: XUmx(config), state, where=where)
