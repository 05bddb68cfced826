"""DemucsSplit: a Demucs with a shared encoder and one decoder per source.

Little is published of AIMLESS's network of this name: 48 channels, an L1 loss, 10 s of music. Everything else is a
choice of this project: levels of Demucs v2, decoders of full width, and optional resampling to twice the rate. The key
names are ours; checkpoints of the original class do not load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from my_submission.graphs.demucs_shape import CONTEXT, KERNEL, STRIDE, DemucsConfig
from my_submission.networks.demucs import (
    DemucsLstm,
    centre_trim,
    decoded,
    decoder_level,
    downsample_by_two,
    encoder_level,
    tiled,
    upsample_by_two,
)
from my_submission.networks.strict_loading import Where, count_of, known_shapes, network_of, shape_of


@dataclass(frozen=True)
class DemucsSplitConfig(DemucsConfig):
    """Shape of a DemucsSplit.

    Attributes:
        resample: whether the network works at twice the sample rate, which no shape shows.
    """

    channels: int = 48
    resample: bool = True

    def valid_length(self, samples: int) -> int:
        """Return the minimum input length whose output covers ``samples`` without padding inside the network."""
        return super().valid_length(samples) if self.resample else self.inner_valid_length(samples)


class DemucsSplit(nn.Module):
    """Waveform U-Net with a decoder per source: float32 [batch, channels, S] to [batch, sources, channels, S'].

    S should be a ``config.valid_length``; S' is slightly shorter than S and centred on it.
    """

    def __init__(self, config: DemucsSplitConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DemucsSplitConfig()
        self.encoder = nn.ModuleList()
        self.decoders = nn.ModuleList(nn.ModuleList() for _ in config.sources)
        inputs = config.audio_channels
        for level in range(config.depth):
            width = config.channels * 2**level
            self.encoder.append(encoder_level(inputs, width))
            for decoder in self._decoders():
                decoder.insert(0, decoder_level(width, inputs, is_outermost=level == 0))
            inputs = width
        self.lstm = DemucsLstm(inputs, config.lstm_layers)

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate."""
        x = upsample_by_two(mixture) if self.config.resample else mixture
        skips = []
        for encode in self.encoder:
            x = tiled(encode, x, kernel=KERNEL, stride=STRIDE)
            skips.append(x)
        bottom = self.lstm(x)
        stems = torch.stack([_decoded(decoder, bottom, skips) for decoder in self._decoders()], dim=1)
        return downsample_by_two(stems) if self.config.resample else stems

    def _decoders(self) -> list[nn.ModuleList]:
        return [decoder for decoder in self.decoders if isinstance(decoder, nn.ModuleList)]


def _decoded(levels: nn.ModuleList, x: Tensor, skips: list[Tensor]) -> Tensor:
    for level, skip in zip(levels, reversed(skips), strict=True):
        x = decoded(level, x, centre_trim(skip, x.shape[-1]))
    return x


def from_state_dict(
    state: Mapping[str, Tensor],
    *,
    sources: tuple[str, ...] = DemucsSplitConfig().sources,
    resample: bool = True,
    where: Where = None,
) -> DemucsSplit:
    """Return the network of a state dict in evaluation mode, on the state's memory; sizes are read from the shapes.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    channels, audio_channels, _ = shape_of(state, "encoder.0.0.weight", (None, None, KERNEL), where=where)
    shape_of(state, "decoders.0.0.0.weight", (None, None, CONTEXT), where=where)
    depth = count_of(state, r"encoder\.(\d+)\.0\.weight")
    layers = count_of(state, r"lstm\.lstm\.weight_ih_l(\d+)")
    with known_shapes("DemucsSplit", where):
        config = DemucsSplitConfig(channels, depth, audio_channels, sources, layers, resample)
    return network_of(lambda: DemucsSplit(config), state, where=where)
