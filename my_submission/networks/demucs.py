"""Demucs v2: the waveform network of "Music Source Separation in the Waveform Domain" (Défossez et al., 2019).

Implements the published definition (facebookresearch/demucs, branch v2) under its key names, so that its checkpoints
load strictly. Later packages of the same name changed the network and cannot run these weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from my_submission.graphs.demucs_shape import (
    CONTEXT,
    INPUT_SCALE,
    KERNEL,
    STRIDE,
    TILE_SAMPLES,
    DemucsConfig,
    config_of,
    resample_kernels,
)
from my_submission.networks.strict_loading import network_of
from my_submission.networks.tiles import assembled

DEVICE_TILE_SAMPLES = 1 << 18
"""TILE_SAMPLES on a GPU: a few large kernels instead of hundreds of small ones. A tile of the published network's
outermost level takes 134 MB. Not measured on a GPU."""


class DemucsLstm(nn.Module):
    """Bidirectional LSTM over time, and a linear layer back to the input's channels: (B, C, T) to (B, C, T)."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, num_layers=layers, bidirectional=True)
        self.linear = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run over (B, C, T)."""
        hidden, _ = self.lstm(x.permute(2, 0, 1))
        out: Tensor = self.linear(hidden)
        return out.permute(1, 2, 0)


class Demucs(nn.Module):
    """Waveform U-Net with gated linear units and an LSTM in the middle."""

    def __init__(self, config: DemucsConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DemucsConfig()
        self.encoder = nn.ModuleList()
        self.decoder = nn.ModuleList()
        inputs, outputs = config.audio_channels, len(config.sources) * config.audio_channels
        for level in range(config.depth):
            width = config.channels * 2**level
            self.encoder.append(encoder_level(inputs, width))
            self.decoder.insert(0, decoder_level(width, outputs, is_outermost=level == 0))
            inputs = outputs = width
        self.lstm = DemucsLstm(inputs, config.lstm_layers)

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate.

        Args:
            mixture: (B, audio_channels, S); S should be a ``config.valid_length``.

        Returns:
            (B, sources, audio_channels, S'), S' slightly shorter than S and centred on it.
        """
        x = upsample_by_two(mixture / INPUT_SCALE)
        skips = []
        for encode in self.encoder:
            x = tiled(encode, x, kernel=KERNEL, stride=STRIDE)
            skips.append(x)
        x = self.lstm(x)
        for decode in self.decoder:
            x = decoded(decode, x, centre_trim(skips.pop(), x.shape[-1]))
        x = downsample_by_two(x)
        return x.view(x.shape[0], len(self.config.sources), self.config.audio_channels, x.shape[-1])

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], *, where: str = "Demucs state dict") -> Demucs:
        """Return the network of a state dict in evaluation mode, on the state's memory.

        Args:
            state: tensors under the published key names; channels and depth are read from the shapes.
            where: the file, for error messages.

        Raises:
            WeightsError: a key is missing, unknown, or of another shape.
        """
        config = config_of({name: tuple(value.shape) for name, value in state.items()}, where)
        return network_of(lambda: cls(config), state, where=where)


def tiled(layers: Callable[[Tensor], Tensor], x: Tensor, *, kernel: int, stride: int) -> Tensor:
    """Apply layers whose outputs depend on ``kernel`` samples each, tile by tile if no gradient is needed.

    The activations of the outermost levels take hundreds of megabytes; in tiles they fit the cache.
    """
    samples = (x.shape[-1] - kernel) // stride + 1
    tile_samples = _tile_samples(x)
    if torch.is_grad_enabled() or samples <= tile_samples:
        return layers(x)
    tiles = (
        layers(x[..., start * stride : (min(start + tile_samples, samples) - 1) * stride + kernel])
        for start in range(0, samples, tile_samples)
    )
    return assembled(tiles, samples, axis=-1)


def decoded(level: nn.Module, x: Tensor, skip: Tensor) -> Tensor:
    """Apply a decoder level to the sum of both, tile by tile if no gradient is needed.

    An output sample of the transposed convolution depends on two samples of the convolution before it, so every tile
    but the first starts one sample early.
    """
    samples, length = x.shape[-1] - CONTEXT + 1, (x.shape[-1] - CONTEXT) * STRIDE + KERNEL
    tile_samples = _tile_samples(x)
    if torch.is_grad_enabled() or samples <= tile_samples:
        result: Tensor = level(x + skip)
        return result

    def tile(start: int) -> Tensor:
        stop = min(start + tile_samples, samples)
        first, last = start - min(start, 1), stop + CONTEXT - 1
        whole: Tensor = level(x[..., first:last] + skip[..., first:last])
        end = length if stop == samples else STRIDE * stop
        return whole[..., STRIDE * (start - first) : end - STRIDE * first]

    return assembled((tile(start) for start in range(0, samples, tile_samples)), length, axis=-1)


def _tile_samples(x: Tensor) -> int:
    """Return the output samples per tile on the device of ``x``."""
    return TILE_SAMPLES if x.device.type == "cpu" else DEVICE_TILE_SAMPLES


def encoder_level(inputs: int, width: int) -> nn.Sequential:
    """Return a strided and a gated convolution: [B, inputs, S] to [B, width, about S / 4]."""
    return nn.Sequential(
        nn.Conv1d(inputs, width, KERNEL, STRIDE),
        nn.ReLU(inplace=True),
        nn.Conv1d(width, 2 * width, 1),
        nn.GLU(dim=1),
    )


def decoder_level(width: int, outputs: int, *, is_outermost: bool) -> nn.Sequential:
    """Return a gated and a transposed convolution: [B, width, S] to [B, outputs, about 4 · S]."""
    layers: list[nn.Module] = [
        nn.Conv1d(width, 2 * width, CONTEXT),
        nn.GLU(dim=1),
        nn.ConvTranspose1d(width, outputs, KERNEL, STRIDE),
    ]
    if not is_outermost:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def centre_trim(x: Tensor, length: int) -> Tensor:
    """Trim the last axis to ``length`` around its centre; of an odd excess, the extra sample is cut on the right."""
    excess = x.shape[-1] - length
    if excess < 0:
        raise ValueError(f"cannot trim {x.shape[-1]} samples to {length}")
    return x[..., excess // 2 : excess // 2 + length]


def _resample(x: Tensor, old: int, new: int) -> Tensor:
    """Resample the last axis by new/old to floor(new · length / old) samples."""
    stored, width = resample_kernels(old, new)
    kernels = torch.from_numpy(stored)
    rows = x.reshape(-1, 1, x.shape[-1])
    padded = F.pad(rows, (width, width + old), mode="replicate")
    phases = tiled(lambda tile: F.conv1d(tile, kernels.to(x), stride=old), padded, kernel=kernels.shape[-1], stride=old)
    joined = phases.transpose(1, 2).reshape(*x.shape[:-1], -1)
    return joined[..., : new * x.shape[-1] // old]


def upsample_by_two(x: Tensor) -> Tensor:
    """Resample the last axis to twice the rate."""
    return _resample(x, 1, 2)


def downsample_by_two(x: Tensor) -> Tensor:
    """Resample the last axis to half the rate, rounding the length down."""
    return _resample(x, 2, 1)
