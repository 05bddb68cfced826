"""BandSplitRNN: magnitudes to the masks of one or several sources, with LSTMs along time and along bands.

"Music Source Separation with Band-split RNN" (Luo and Yu, 2022) in the form and under the key names of AIMLESS, whose
class for several sources is BandSplitRNNMulti.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from my_submission.geometry import SAMPLE_RATE
from my_submission.networks.strict_loading import Where, count_of, known_shapes, network_of, shape_of

N_FFT = 4096

SPLIT_HZ = (
    *range(100, 1_001, 100),
    *range(1_250, 4_001, 250),
    *range(4_500, 8_001, 500),
    *range(9_000, 16_001, 1_000),
    *range(18_000, 22_001, 2_000),
)
"""Edges between the published 42 bands, in Hz; the last band ends at the Nyquist frequency."""

_MAGNITUDE_EPS = 1e-8
"""Added before the logarithm."""

_MASK_EXPANSION = 4
"""Ratio of the hidden layer of a band's mask to its features."""

_MAX_LSTM_VALUES = 1 << 22
"""Maximum features per run of an LSTM when no gradient is needed; its gates take sixteen times as much memory."""


def band_edges(n_fft: int = N_FFT, split_hz: tuple[int, ...] = SPLIT_HZ, sample_rate: int = SAMPLE_RATE) -> list[int]:
    """Return the first bin of every band, and the number of bins."""
    return [0, *(math.floor(n_fft * frequency / sample_rate) for frequency in split_hz), n_fft // 2 + 1]


@dataclass(frozen=True)
class BandSplitConfig:
    """Shape of a BandSplitRNN.

    Attributes:
        widths: bins of each band, from the lowest.
        hidden_size: features per band and frame.
        num_layers: pairs of LSTMs, one along time and one along bands.
        norm_groups: groups of the group norms, which no shape shows.
        n_sources: sources that are masked.
    """

    widths: tuple[int, ...] = tuple(b - a for a, b in zip(band_edges()[:-1], band_edges()[1:], strict=True))
    hidden_size: int = 128
    num_layers: int = 12
    norm_groups: int = 4
    n_sources: int = 1

    def __post_init__(self) -> None:
        if not self.widths or min(*self.widths, self.num_layers, self.norm_groups, self.n_sources) < 1:
            raise ValueError(f"bands, layers, groups and sources must be at least 1: {self}")
        if self.hidden_size < 2 or self.hidden_size % 2 or self.hidden_size % self.norm_groups:
            raise ValueError(f"hidden_size={self.hidden_size} must be even and a multiple of {self.norm_groups}")

    @property
    def bins(self) -> int:
        """Bins of the spectrum."""
        return sum(self.widths)


class BandSplitRNN(nn.Module):
    """Masks in 0 … 1 of float32 magnitudes [batch, channels, bins, frames].

    The mask of one source has the same shape, and each value is a sigmoid. The masks of several sources have the shape
    [batch, sources, channels, bins, frames], and a softmax makes their sum 1. Channels are processed independently.
    """

    def __init__(self, config: BandSplitConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BandSplitConfig()
        size, layers = config.hidden_size, range(config.num_layers)
        self.norm1_list = nn.ModuleList(nn.LayerNorm(width) for width in config.widths)
        self.fc1_list = nn.ModuleList(nn.Linear(width, size) for width in config.widths)
        self.band_lstms = nn.ModuleList(_recurrence(size) for _ in layers)
        self.time_lstms = nn.ModuleList(_recurrence(size) for _ in layers)
        self.band_group_norms = nn.ModuleList(nn.GroupNorm(config.norm_groups, size) for _ in layers)
        self.time_group_norms = nn.ModuleList(nn.GroupNorm(config.norm_groups, size) for _ in layers)
        self.norm2_list = nn.ModuleList(nn.LayerNorm(size) for _ in config.widths)
        hidden = _MASK_EXPANSION * size
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(size, hidden), nn.Tanh(), nn.Linear(hidden, config.n_sources * width))
            for width in config.widths
        )

    def forward(self, magnitude: Tensor) -> Tensor:
        """Estimate the masks."""
        batch, channels, bins, frames = magnitude.shape
        logs = torch.log(magnitude + _MAGNITUDE_EPS).reshape(batch * channels, bins, frames).transpose(1, 2)
        bands = zip(self.norm1_list, self.fc1_list, torch.split(logs, list(self.config.widths), dim=2), strict=True)
        x = torch.stack([connect(norm(band)) for norm, connect, band in bands], dim=1)
        rows, n_bands, _, size = x.shape
        for time_norm, time_lstm, band_norm, band_lstm in zip(
            self.time_group_norms, self.time_lstms, self.band_group_norms, self.band_lstms, strict=True
        ):
            flat = x.reshape(rows * n_bands, frames, size)
            x = (flat + _recurred(time_norm, time_lstm, flat)).view(x.shape)
            flat = x.transpose(1, 2).reshape(rows * frames, n_bands, size)
            x = (flat + _recurred(band_norm, band_lstm, flat)).view(rows, frames, n_bands, size).transpose(1, 2)
        parts = zip(self.norm2_list, self.mlps, x.unbind(1), strict=True)
        n_sources = self.config.n_sources
        of_bands = [estimate(norm(band)).unflatten(2, (n_sources, -1)) for norm, estimate, band in parts]
        logits = torch.cat(of_bands, dim=3).reshape(batch, channels, frames, n_sources, bins).permute(0, 3, 1, 4, 2)
        return torch.sigmoid(logits[:, 0]) if n_sources == 1 else torch.softmax(logits, dim=1)


def _recurrence(size: int) -> nn.LSTM:
    return nn.LSTM(size, size, batch_first=True, bidirectional=True, proj_size=size // 2)


def _folded(lstm: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the LSTM with its projection folded into the recurrent weights, twice as fast on the CPU.

    Inside the recurrence, projected states are only multiplied by the recurrent weights.
    """
    stored = dict(lstm.named_parameters())
    weights: list[Tensor] = []
    for side in ("", "_reverse"):
        recurrent = stored[f"weight_hh_l0{side}"] @ stored[f"weight_hr_l0{side}"]
        biases = [stored[f"bias_ih_l0{side}"], stored[f"bias_hh_l0{side}"]]
        weights += [stored[f"weight_ih_l0{side}"], recurrent, *biases]
    projections = [stored["weight_hr_l0"], stored["weight_hr_l0_reverse"]]

    def run(x: Tensor) -> Tensor:
        start = x.new_zeros(2, len(x), projections[0].shape[1])
        hidden = torch.lstm(x, (start, start), weights, True, 1, 0.0, lstm.training, True, True)[0]
        both = zip(hidden.chunk(2, dim=-1), projections, strict=True)
        return torch.cat([F.linear(part, projection) for part, projection in both], dim=-1)

    return run


def _recurred(norm: nn.Module, lstm: nn.Module, x: Tensor) -> Tensor:
    """Apply norm and LSTM to independent sequences [rows, steps, size]."""
    n_rows = len(x) if torch.is_grad_enabled() else max(1, _MAX_LSTM_VALUES // x[0].numel())
    run = _folded(lstm) if x.device.type == "cpu" else lambda part: lstm(part)[0]
    parts = [run(norm(part.transpose(1, 2)).transpose(1, 2)) for part in torch.split(x, n_rows)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def from_state_dict(state: Mapping[str, Tensor], *, norm_groups: int = 4, where: Where = None) -> BandSplitRNN:
    """Return the network of a state dict in evaluation mode, on the state's memory; sizes are read from the shapes.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    n_bands = count_of(state, r"fc1_list\.(\d+)\.weight")
    n_layers = count_of(state, r"time_lstms\.(\d+)\.weight_ih_l0$")
    size = shape_of(state, "fc1_list.0.weight", (None, None), where=where)[0]
    widths = [shape_of(state, f"fc1_list.{band}.weight", (size, None), where=where)[1] for band in range(n_bands)]
    n_sources = shape_of(state, "mlps.0.2.weight", (None, None), where=where)[0] // widths[0]
    with known_shapes("BandSplitRNN", where):
        config = BandSplitConfig(tuple(widths), size, n_layers, norm_groups, n_sources)
    return network_of(lambda: BandSplitRNN(config), state, where=where)
