"""DemucsSplit of AIMLESS: a Demucs whose decoder has a quarter of its channels for each source, from the bottom on.

Definition: the authors' training program for the Sound Demixing Challenge 2023, under its key names. Nothing is padded,
so the output is shorter than the input, and begins where the input begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from my_submission.graphs.demucs_shape import KERNEL, STRIDE
from my_submission.networks.strict_loading import Where, count_of, known_shapes, network_of, shape_of
from my_submission.stems import DEMUCS_SOURCES

STD_EPS = 1e-5
"""Added to the standard deviation of the input, as published."""

CONTEXT = 3

UP_KERNEL, DOWN_KERNEL = (2, 1, 15), (1, 1, 28)
"""Shapes of torchaudio's kernels for factors of two and one half; the numbers are in the state."""


@dataclass(frozen=True)
class DemucsSplitConfig:
    """Shape of a DemucsSplit.

    Attributes:
        channels: output channels of the first encoder level; 48 in the published configuration.
        depth: encoder levels; channels double from one to the next.
        audio_channels: channels of the mixture and of each stem.
        sources: sources of the output, in order.
        lstm_layers: layers of the bidirectional LSTM.
    """

    channels: int = 48
    depth: int = 6
    audio_channels: int = 2
    sources: tuple[str, ...] = DEMUCS_SOURCES
    lstm_layers: int = 2

    def __post_init__(self) -> None:
        if min(self.channels, self.depth, self.audio_channels, self.lstm_layers, len(self.sources)) < 1:
            raise ValueError(f"every size of a DemucsSplit must be at least 1: {self}")
        if self.groups * self.channels % 2 or 4 * self.channels % self.groups:
            raise ValueError(f"channels={self.channels} cannot be divided among {self.groups} sources")

    @property
    def groups(self) -> int:
        """Number of sources, and of groups of channels in the decoder."""
        return len(self.sources)

    @property
    def max_loss(self) -> int:
        """Largest number of samples by which the output may be shorter than the input, rounded up."""
        return -(-int(STRIDE**self.depth) // 2)

    def output_length(self, samples: int) -> int:
        """Return the number of samples that the network estimates of an input of ``samples`` samples."""
        inner = 2 * samples
        for _ in range(self.depth):
            inner = (inner - KERNEL) // STRIDE + 1
        for _ in range(self.depth):
            inner = (inner - 1) * STRIDE + KERNEL
        return -(-inner // 2)

    def valid_length(self, samples: int) -> int:
        """Return the length to feed so that the output covers the middle ``samples`` of it."""
        shortest = 1
        for _ in range(self.depth):
            shortest = (shortest - 1) * STRIDE + KERNEL
        return max(samples + 2 * self.max_loss, -(-shortest // 2))


class _Resample(nn.Module):
    """torchaudio's resampler by a ratio of small integers, with its kernel as a buffer."""

    kernel: Tensor

    def __init__(self, old: int, new: int) -> None:
        super().__init__()
        self.old = old
        self.register_buffer("kernel", _sinc_kernel(old, new))

    def forward(self, x: Tensor) -> Tensor:
        """Resample ``[…, samples]`` to ``[…, ⌈samples · new / old⌉]``."""
        new, _, length = self.kernel.shape
        width = (length - self.old) // 2
        flat = F.pad(x.reshape(-1, 1, x.shape[-1]), (width, width + self.old))
        phases = F.conv1d(flat, self.kernel, stride=self.old)
        samples = -(-x.shape[-1] * new // self.old)
        return phases.transpose(1, 2).reshape(*x.shape[:-1], -1)[..., :samples]


def _sinc_kernel(old: int, new: int, *, zeros: int = 6, rolloff: float = 0.99) -> Tensor:
    """Return torchaudio's default kernel ``[new, 1, 2 · width + old]``: a sinc under a squared cosine."""
    base = min(old, new) * rolloff
    width = -(-zeros * old // base)
    steps = torch.arange(-width, width + old, dtype=torch.float64)[None, None] / old
    t = (torch.arange(0, -new, -1, dtype=torch.float64)[:, None, None] / new + steps) * base
    t = t.clamp(-zeros, zeros)
    window = torch.cos(t * torch.pi / zeros / 2) ** 2
    return (torch.sinc(t) * window * base / old).float()


class DemucsSplit(nn.Module):
    """Waveform U-Net, float32 [batch, channels, S] to [batch, sources, channels, S'], where S' ≤ S."""

    def __init__(self, config: DemucsSplitConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DemucsSplitConfig()
        groups = config.groups
        self.up_sample, self.down_sample = _Resample(1, 2), _Resample(2, 1)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.convs_1x1, self.dec_pre_convs = nn.ModuleList(), nn.ModuleList()
        inputs = config.audio_channels
        for level in range(config.depth):
            width = config.channels << level
            self.encoder.append(_encoder_level(inputs, width))
            self.convs_1x1.insert(0, nn.Conv1d(width, 4 * width, CONTEXT, padding=1, bias=False))
            self.dec_pre_convs.insert(0, nn.Conv1d(2 * width, 4 * width, CONTEXT, padding=1, groups=groups))
            outputs = groups * inputs if level == 0 else 2 * inputs
            self.decoder.insert(0, _decoder_level(2 * width, outputs, groups, is_outermost=level == 0))
            inputs = width
        self.lstm = nn.LSTM(inputs, inputs, config.lstm_layers, bidirectional=True)
        self.lstm_linear = nn.Linear(2 * inputs, 2 * inputs)

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate."""
        mono = mixture.mean(dim=1, keepdim=True)
        mean, std = mono.mean(dim=-1, keepdim=True), mono.std(dim=-1, keepdim=True) + STD_EPS
        x, skips = self.up_sample((mixture - mean) / std), []
        for encode in self.encoder:
            x = encode(x)
            skips.append(x)
        x = self.lstm_linear(self.lstm(x.permute(2, 0, 1))[0]).permute(1, 2, 0)
        for before, skipped, decode in zip(self.dec_pre_convs, self.convs_1x1, self.decoder, strict=True):
            x = decode(self._gated(before(x) + skipped(skips.pop()[..., : x.shape[-1]])))
        waves: Tensor = self.down_sample(x)
        stems = waves.view(waves.shape[0], self.config.groups, -1, waves.shape[-1])
        return stems * std[:, None] + mean[:, None]

    def _gated(self, x: Tensor) -> Tensor:
        """Gate the first half of every source's channels by the second half."""
        return F.glu(x.view(x.shape[0], self.config.groups, -1, x.shape[-1]), dim=2).flatten(1, 2)


def _encoder_level(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, width, KERNEL, STRIDE), nn.ReLU(), nn.Conv1d(width, 2 * width, 1), nn.GLU(dim=1)
    )


def _decoder_level(inputs: int, outputs: int, groups: int, *, is_outermost: bool) -> nn.Sequential:
    last = nn.Identity() if is_outermost else nn.ReLU()
    return nn.Sequential(nn.ConvTranspose1d(inputs, outputs, KERNEL, STRIDE, groups=groups), last)


class WholeLength(nn.Module):
    """A DemucsSplit whose output is as long as its input; zeros follow the samples that it estimates."""

    def __init__(self, network: DemucsSplit) -> None:
        super().__init__()
        self.network = network

    @property
    def config(self) -> DemucsSplitConfig:
        """Shape of the network."""
        return self.network.config

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate float32 [batch, channels, S] to [batch, sources, channels, S]."""
        stems = self.network(mixture)
        return F.pad(stems, (0, mixture.shape[-1] - stems.shape[-1]))


def from_state_dict(
    state: Mapping[str, Tensor],
    *,
    sources: tuple[str, ...] = DemucsSplitConfig().sources,
    where: Where = None,
) -> DemucsSplit:
    """Return the network of a state dict in evaluation mode, on the state's memory; sizes are read from the shapes.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    shape_of(state, "up_sample.kernel", UP_KERNEL, where=where)
    shape_of(state, "down_sample.kernel", DOWN_KERNEL, where=where)
    channels, audio_channels, _ = shape_of(state, "encoder.0.0.weight", (None, None, KERNEL), where=where)
    depth = count_of(state, r"encoder\.(\d+)\.0\.weight")
    layers = count_of(state, r"lstm\.weight_ih_l(\d+)")
    with known_shapes("DemucsSplit", where):
        config = DemucsSplitConfig(channels, depth, audio_channels, sources, layers)
    return network_of(lambda: DemucsSplit(config), state, where=where)
