"""X-UMX: Open-Unmix for all sources at once, whose sources hear each other ("All for One and One for All", 2021).

In the form and under the key names of AIMLESS, where grouped convolutions hold what the sources have of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

import torch
from torch import Tensor, nn

from my_submission.errors import WeightsError
from my_submission.networks.strict_loading import shape_of, take_over

LSTM_NAMES = ("bass", "drums", "vocals", "other")
"""Of the stored recurrences. Their outputs are averaged, so that no name belongs to a row of the output."""

N_SOURCES = len(LSTM_NAMES)


@dataclass(frozen=True)
class XUmxConfig:
    """Shape of an X-UMX.

    Attributes:
        n_fft: of the transform around it.
        hidden_channels: features of a frame.
        max_bins: bins that are heard; 1487 reach to 16 kHz.
        nb_channels: of the mixture and of each source.
        nb_layers: of each recurrence.
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
        hidden, heard = config.hidden_channels, config.nb_channels * config.max_bins
        self.input_means = nn.Parameter(torch.zeros(N_SOURCES * config.max_bins))
        self.input_scale = nn.Parameter(torch.ones(N_SOURCES * config.max_bins))
        self.output_means = nn.Parameter(torch.ones(N_SOURCES * config.bins))
        self.output_scale = nn.Parameter(torch.ones(N_SOURCES * config.bins))
        self.affine1 = nn.Sequential(_grouped(N_SOURCES * heard, hidden), nn.BatchNorm1d(N_SOURCES * hidden), nn.Tanh())
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
        heard = magnitude[:, None, :, : config.max_bins]
        scaled = (heard + _per_bin(self.input_means, config.max_bins)) * _per_bin(self.input_scale, config.max_bins)
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
    """One number for every source and bin, over channels and frames."""
    return values.view(N_SOURCES, 1, bins, 1)


def infer_config(state: Mapping[str, Tensor], *, where: str | PathLike[str] | None = None) -> XUmxConfig:
    """All sizes from the shapes of a state dict.

    Raises:
        WeightsError: a key is missing, or a shape belongs to no X-UMX.
    """
    max_bins = shape_of(state, "input_means", (None,), where=where)[0] // N_SOURCES
    bins = shape_of(state, "output_means", (None,), where=where)[0] // N_SOURCES
    width, heard, _ = shape_of(state, "affine1.0.weight", (None, None, 1), where=where)
    prefix = f"{LSTM_NAMES[0]}_lstm.weight_ih_l"
    layers = sum(key.startswith(prefix) and not key.endswith("_reverse") for key in state)
    try:
        return XUmxConfig(2 * (bins - 1), width // N_SOURCES, max_bins, heard // max(1, max_bins), layers)
    except ValueError as error:
        raise WeightsError(f"the shapes are those of no X-UMX: {error}", where=where) from error


def from_state_dict(state: Mapping[str, Tensor], *, where: str | PathLike[str] | None = None) -> XUmx:
    """The network that a state dict belongs to, in evaluation mode, on the state's own memory.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    config = infer_config(state, where=where)
    with torch.device("meta"):
        network = XUmx(config)
    return take_over(network, state, where=where)
