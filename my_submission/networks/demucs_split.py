"""DemucsSplit: a Demucs whose sources share the encoder and each have a decoder of their own.

Little is published of AIMLESS's network of this name: 48 channels, an L1 loss, 10 s of music. What is uncertain is a
choice here: the levels are those of Demucs v2, every decoder has the full width, and whether the network works at
twice the rate is an option. The key names are ours; checkpoints of the original class do not load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

import torch
from torch import Tensor, nn

from my_submission.errors import WeightsError
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
from my_submission.networks.strict_loading import shape_of, take_over


@dataclass(frozen=True)
class DemucsSplitConfig(DemucsConfig):
    """Shape of a DemucsSplit.

    Attributes:
        resample: whether the network works at twice the rate; no shape tells it.
    """

    channels: int = 48
    resample: bool = True

    def valid_length(self, samples: int) -> int:
        """Shortest input, in samples, whose output covers ``samples`` with no padding anywhere."""
        return super().valid_length(samples) if self.resample else self.inner_valid_length(samples)


class DemucsSplit(nn.Module):
    """Waveform U-Net with a decoder a source: float32 [batch, channels, S] to [batch, sources, channels, S'].

    S should be a ``config.valid_length``; S' is somewhat shorter than S and centred on it.
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
    where: str | PathLike[str] | None = None,
) -> DemucsSplit:
    """The network that a state dict belongs to, in evaluation mode, on the state's own memory.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    channels, audio_channels, _ = shape_of(state, "encoder.0.0.weight", (None, None, KERNEL), where=where)
    shape_of(state, "decoders.0.0.0.weight", (None, None, CONTEXT), where=where)
    depth = sum(key.startswith("encoder.") and key.endswith(".0.weight") for key in state)
    layers = sum(key.startswith("lstm.lstm.weight_ih_l") and not key.endswith("_reverse") for key in state)
    try:
        config = DemucsSplitConfig(channels, depth, audio_channels, sources, layers, resample)
    except ValueError as error:
        raise WeightsError(f"the shapes are those of no DemucsSplit: {error}", where=where) from error
    with torch.device("meta"):
        network = DemucsSplit(config)
    return take_over(network, state, where=where)
