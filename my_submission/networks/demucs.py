"""Demucs v2: the waveform network of "Music Source Separation in the Waveform Domain" (Défossez et al., 2019).

Rebuilt from its published definition (facebookresearch/demucs, branch v2), with that code's key names, so that its
checkpoints load strictly. Later packages of the same name changed the network; theirs cannot run these weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from my_submission.errors import WeightsError
from my_submission.graphs.demucs_shape import (
    CONTEXT,
    CURE,
    DEVICE_TILE_SAMPLES,
    INPUT_SCALE,
    KERNEL,
    STRIDE,
    TILE_SAMPLES,
    DemucsConfig,
    config_of,
    resample_kernels,
)

__all__ = [
    "Demucs",
    "DemucsConfig",
    "DemucsLstm",
    "centre_trim",
    "decoded",
    "decoder_level",
    "downsample_by_two",
    "encoder_level",
    "tiled",
    "upsample_by_two",
]


class DemucsLstm(nn.Module):
    """Bidirectional LSTM over time and a linear layer back to the input's channels: (B, C, T) to (B, C, T)."""

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
    """Waveform U-Net with gated linear units and an LSTM at its bottom."""

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
            (B, sources, audio_channels, S'), S' somewhat shorter than S and centred on it.
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
        """Build the network a state dict belongs to and take over its tensors without copying float32 ones.

        Args:
            state: tensors under the published key names; channel count and depth are read from the shapes.
            where: the file, for error messages.

        Raises:
            WeightsError: a key is missing, unknown, or of the wrong shape.
        """
        config = config_of({name: tuple(value.shape) for name, value in state.items()}, where)
        with torch.device("meta"):
            network = cls(config)
        try:
            network.load_state_dict({key: value.float() for key, value in state.items()}, strict=True, assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise WeightsError(f"these tensors are not a Demucs v2 ({reason})", where=where, hint=CURE) from error
        return network.eval().requires_grad_(False)


def tiled(layers: Callable[[Tensor], Tensor], x: Tensor, *, kernel: int, stride: int) -> Tensor:
    """Apply layers that see ``kernel`` samples of the last axis per output, tile by tile where no gradient is needed.

    The outermost levels are hundreds of megabytes wide; in tiles only their result is, and it stays in the cache
    while it is worked on.
    """
    samples = (x.shape[-1] - kernel) // stride + 1
    tile_samples = _tile_samples(x)
    if torch.is_grad_enabled() or samples <= tile_samples:
        result: Tensor = layers(x)
        return result
    whole: Tensor | None = None
    for start in range(0, samples, tile_samples):
        stop = min(start + tile_samples, samples)
        tile = layers(x[..., start * stride : (stop - 1) * stride + kernel])
        if whole is None:
            whole = tile.new_empty(*tile.shape[:-1], samples)
        whole[..., start:stop] = tile
    if whole is None:
        raise ValueError(f"{x.shape[-1]} samples are fewer than the {kernel} that the layers need")
    return whole


def decoded(level: nn.Module, x: Tensor, skip: Tensor) -> Tensor:
    """Apply a decoder level to the sum of both, tile by tile where no gradient is needed.

    Only the two inputs and the result are ever whole. An output sample of the transposed convolution sees two
    samples of the convolution before it, so every tile but the first begins one sample early.
    """
    samples = x.shape[-1] - CONTEXT + 1
    tile_samples = _tile_samples(x)
    if torch.is_grad_enabled() or samples <= tile_samples:
        result: Tensor = level(x + skip)
        return result
    whole: Tensor | None = None
    for start in range(0, samples, tile_samples):
        stop = min(start + tile_samples, samples)
        first, last = start - min(start, 1), stop + CONTEXT - 1
        tile = level(x[..., first:last] + skip[..., first:last])
        if whole is None:
            whole = tile.new_empty(*tile.shape[:-1], (samples - 1) * STRIDE + KERNEL)
        end = whole.shape[-1] if stop == samples else STRIDE * stop
        whole[..., STRIDE * start : end] = tile[..., STRIDE * (start - first) : end - STRIDE * first]
    if whole is None:
        raise ValueError(f"{x.shape[-1]} samples are fewer than the {CONTEXT} that the level needs")
    return whole


def _tile_samples(x: Tensor) -> int:
    """Output samples worked on at once where ``x`` is: a GPU has no use for tiles that fit a processor's cache."""
    return TILE_SAMPLES if x.device.type == "cpu" else DEVICE_TILE_SAMPLES


def encoder_level(inputs: int, width: int) -> nn.Sequential:
    """Convolution with a stride and a gated one: [B, inputs, S] to [B, width, about S / 4]."""
    return nn.Sequential(
        nn.Conv1d(inputs, width, KERNEL, STRIDE),
        nn.ReLU(inplace=True),
        nn.Conv1d(width, 2 * width, 1),
        nn.GLU(dim=1),
    )


def decoder_level(width: int, outputs: int, *, is_outermost: bool) -> nn.Sequential:
    """Gated convolution and a transposed one: [B, width, S] to [B, outputs, about 4 · S]."""
    layers: list[nn.Module] = [
        nn.Conv1d(width, 2 * width, CONTEXT),
        nn.GLU(dim=1),
        nn.ConvTranspose1d(width, outputs, KERNEL, STRIDE),
    ]
    if not is_outermost:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def centre_trim(x: Tensor, length: int) -> Tensor:
    """Cut the last axis to ``length`` around its centre; an odd excess loses its extra sample on the right."""
    excess = x.shape[-1] - length
    if excess < 0:
        raise ValueError(f"cannot trim {x.shape[-1]} samples to {length}")
    return x[..., excess // 2 : excess // 2 + length]


def _resample(x: Tensor, old: int, new: int) -> Tensor:
    """Resample the last axis by new/old (both reduced): floor(new · length / old) samples come out."""
    stored, width = resample_kernels(old, new)
    kernels = torch.from_numpy(stored)
    rows = x.reshape(-1, 1, x.shape[-1])
    padded = F.pad(rows, (width, width + old), mode="replicate")
    phases = tiled(lambda tile: F.conv1d(tile, kernels.to(x), stride=old), padded, kernel=kernels.shape[-1], stride=old)
    joined = phases.transpose(1, 2).reshape(*x.shape[:-1], -1)
    return joined[..., : new * x.shape[-1] // old]


def upsample_by_two(x: Tensor) -> Tensor:
    """Twice the rate, twice the samples."""
    return _resample(x, 1, 2)


def downsample_by_two(x: Tensor) -> Tensor:
    """Half the rate, half the samples (rounded down)."""
    return _resample(x, 2, 1)
