"""Hybrid Demucs of "Hybrid Spectrogram and Waveform Source Separation" (Défossez, 2021).

Implements the published definition under the key names of torchaudio's class, so that its checkpoints (AIMLESS,
HDEMUCS_HIGH_MUSDB_PLUS) load strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from my_submission.errors import WeightsError
from my_submission.networks.hybrid_demucs.levels import (
    FirstTemporalDecoder,
    LastTemporalEncoder,
    SpectralDecoder,
    SpectralEncoder,
    TemporalDecoder,
    TemporalEncoder,
)
from my_submission.networks.hybrid_demucs.shape import (
    BINS,
    DEPTH,
    EMBEDDING_SCALE,
    EMBEDDING_WEIGHT,
    FIRST_DEEP_LEVEL,
    KERNEL,
    NORM_EPS,
    RESCALE_REFERENCE,
    STRIDE,
    HybridDemucsConfig,
)
from my_submission.networks.hybrid_demucs.spectra import to_spectrum, to_waves
from my_submission.networks.spectra import channels_as_complex, complex_as_channels
from my_submission.networks.strict_loading import Where, known_shapes, network_of, shape_of


class HybridDemucs(nn.Module):
    """Two U-Nets, over spectra and over samples, that share their innermost level.

    Args:
        sources: sources of the output.
        audio_channels: channels of the mixture and of each source.
        channels: channels of the outermost level.
    """

    def __init__(self, sources: int = 4, audio_channels: int = 2, channels: int = 48) -> None:
        super().__init__()
        self.config = config = HybridDemucsConfig(sources, audio_channels, channels)
        self.freq_encoder, self.freq_decoder = nn.ModuleList(), nn.ModuleList()
        self.time_encoder, self.time_decoder = nn.ModuleList(), nn.ModuleList()
        inputs, outputs = 2 * audio_channels, 2 * audio_channels * sources
        time_inputs, time_outputs = audio_channels, audio_channels * sources
        for level in range(DEPTH - 1):
            width, is_deep, is_last = config.width(level), level >= FIRST_DEEP_LEVEL, level == 0
            self.freq_encoder.append(SpectralEncoder(inputs, width, is_deep=is_deep))
            self.freq_decoder.insert(0, SpectralDecoder(width, outputs, is_deep=is_deep, is_last=is_last))
            if is_deep:
                self.time_encoder.append(LastTemporalEncoder(time_inputs, width))
                self.time_decoder.insert(0, FirstTemporalDecoder(width, time_outputs))
            else:
                self.time_encoder.append(TemporalEncoder(time_inputs, width))
                self.time_decoder.insert(0, TemporalDecoder(width, time_outputs, is_last=is_last))
            inputs = outputs = time_inputs = time_outputs = width
        bottom = config.width(DEPTH - 1)
        self.freq_encoder.append(TemporalEncoder(inputs, bottom, is_shared=True))
        self.freq_decoder.insert(0, TemporalDecoder(bottom, outputs, is_shared=True))
        self.freq_emb = BinEmbedding(BINS // STRIDE, channels)
        _rescale(self)

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate: float32 [batch, audio_channels, samples] to [batch, sources, audio_channels, samples]."""
        samples = mixture.shape[-1]
        spectrum = complex_as_channels(to_spectrum(mixture.float()))
        x, x_mean, x_std = _normalised(spectrum)
        t, t_mean, t_std = _normalised(mixture)
        x, t = self._decode(self._encode(x, t))
        n, sources, channels = len(mixture), self.config.sources, self.config.audio_channels
        x = (x.float() * x_std + x_mean).view(n, sources, 2 * channels, *spectrum.shape[2:])
        t = (t.float() * t_std + t_mean).view(n, sources, channels, samples)
        return to_waves(channels_as_complex(x), samples) + t

    def _encode(self, x: Tensor, t: Tensor) -> _Encoded:
        skips, time_skips, lengths = [], [], []
        for level, (encode, encode_time) in enumerate(zip(self.freq_encoder, self.time_encoder, strict=False)):
            lengths.append(t.shape[-1])
            t = encode_time(t)
            if level < FIRST_DEEP_LEVEL:
                time_skips.append(t)
                x = encode(x)
            else:
                x = encode(x, t)
            if level == 0:
                x = x + EMBEDDING_WEIGHT * self.freq_emb(x.shape[2])
            skips.append(x)
        shared = x[:, :, 0]
        return _Encoded(self.freq_encoder[-1](shared), shared.shape[-1], skips, time_skips, lengths)

    def _decode(self, encoded: _Encoded) -> tuple[Tensor, Tensor]:
        innermost, *levels = self.freq_decoder
        first_time, *time_levels = self.time_decoder
        x = innermost(None, encoded.bottom, encoded.bottom_length)[:, :, None]
        x, before = levels[0](x, encoded.skips.pop())
        t = first_time(before[:, :, 0], encoded.lengths.pop())
        for decode, decode_time in zip(levels[1:], time_levels, strict=True):
            x, _ = decode(x, encoded.skips.pop())
            t = decode_time(t, encoded.time_skips.pop(), encoded.lengths.pop())
        return x, t


class BinEmbedding(nn.Module):
    """Learnt embedding of bins."""

    def __init__(self, bins: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(bins, channels)
        with torch.no_grad():
            # Initial embeddings of neighbouring bins are similar: a random walk, scaled to the same deviation.
            walk = self.embedding.weight.cumsum(0)
            counts = torch.arange(1, bins + 1, dtype=walk.dtype, device=walk.device)
            self.embedding.weight.copy_(walk / counts.sqrt()[:, None] / EMBEDDING_SCALE)

    def forward(self, bins: int) -> Tensor:
        """Return the embeddings of the lowest bins, [channels, bins, 1]."""
        return EMBEDDING_SCALE * self.embedding.weight[:bins].T[..., None]


@dataclass
class _Encoded:
    """An encoded mixture: output of the shared level, skips and lengths of both branches, outermost first."""

    bottom: Tensor
    bottom_length: int
    skips: list[Tensor]
    time_skips: list[Tensor]
    lengths: list[int]


def _normalised(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return every item at zero mean and unit standard deviation, its original mean and standard deviation.

    The standard deviation of a single number is 0.
    """
    axes = tuple(range(1, x.dim()))
    mean = x.mean(dim=axes, keepdim=True)
    std = x.std(dim=axes, keepdim=True) if x[0].numel() > 1 else torch.zeros_like(mean)
    return (x - mean) / (NORM_EPS + std), mean, std


def _rescale(network: nn.Module) -> None:
    """Scale the convolutions of all levels to similar deviations, as the published initialisation does."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d):
                scale = (module.weight.std() / RESCALE_REFERENCE).sqrt()
                module.weight /= scale
                if module.bias is not None:
                    module.bias /= scale


def from_state_dict(state: Mapping[str, Tensor], *, where: Where = None) -> HybridDemucs:
    """Return the network of a state dict in evaluation mode, on the state's memory; sizes are read from the shapes.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    width, inputs, *_ = shape_of(state, "time_encoder.0.conv.weight", (None, None, KERNEL), where=where)
    outputs = shape_of(state, "time_decoder.4.conv_tr.weight", (width, None, KERNEL), where=where)[1]
    if outputs % inputs:
        problem = f"{outputs} output channels are not a multiple of the {inputs} of the mixture"
        raise WeightsError(problem, where=where, hint="use a checkpoint of a Hybrid Demucs")
    with known_shapes("Hybrid Demucs", where):
        config = HybridDemucsConfig(outputs // inputs, inputs, width)
    return network_of(lambda: HybridDemucs(outputs // inputs, inputs, config.channels), state, where=where)
