"""Hybrid Demucs of "Hybrid Spectrogram and Waveform Source Separation" (Défossez, 2021).

Rebuilt from its published definition under the key names of torchaudio's class, so that checkpoints of that class
(AIMLESS, HDEMUCS_HIGH_MUSDB_PLUS) load strictly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

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
    NORM_EPS,
    RESCALE_REFERENCE,
    STRIDE,
    HybridDemucsConfig,
)
from my_submission.networks.hybrid_demucs.spectra import to_spectrum, to_waves


class HybridDemucs(nn.Module):
    """Two U-Nets, one over spectra and one over samples, with a common bottom.

    Args:
        sources: rows of the output.
        audio_channels: channels of the mixture and of each source.
        channels: of the outermost level.
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
        spectrum = _as_channels(to_spectrum(mixture.float()))
        x, x_scale = _normalised(spectrum)
        t, t_scale = _normalised(mixture)
        x, t = self._decode(self._encode(x, t))
        n, sources, channels = len(mixture), self.config.sources, self.config.audio_channels
        x = x_scale.undone(x.float()).view(n, sources, 2 * channels, *spectrum.shape[2:])
        t = t_scale.undone(t.float()).view(n, sources, channels, samples)
        return to_waves(_as_complex(x), samples) + t

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
    """A learnt vector for every bin."""

    def __init__(self, bins: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(bins, channels)
        with torch.no_grad():
            # Neighbouring bins begin alike: a random walk, scaled to the same deviation everywhere.
            walk = self.embedding.weight.cumsum(0)
            counts = torch.arange(1, bins + 1, dtype=walk.dtype, device=walk.device)
            self.embedding.weight.copy_(walk / counts.sqrt()[:, None] / EMBEDDING_SCALE)

    def forward(self, bins: int) -> Tensor:
        """Vectors of the lowest bins, [channels, bins, 1]."""
        return EMBEDDING_SCALE * self.embedding.weight[:bins].T[..., None]


@dataclass
class _Encoded:
    """A mixture on its way: the shared bottom, and what the decoders will need, outermost first."""

    bottom: Tensor
    bottom_length: int
    skips: list[Tensor]
    time_skips: list[Tensor]
    lengths: list[int]


@dataclass(frozen=True)
class _Scale:
    """Mean and deviation of every item of a batch."""

    mean: Tensor
    std: Tensor

    def undone(self, x: Tensor) -> Tensor:
        """Back to the item's own level."""
        return x * self.std + self.mean


def _normalised(x: Tensor) -> tuple[Tensor, _Scale]:
    """Every item of mean 0 and deviation 1; a single number, which has no deviation, is taken to have 0."""
    axes = tuple(range(1, x.dim()))
    mean = x.mean(dim=axes, keepdim=True)
    std = x.std(dim=axes, keepdim=True) if x[0].numel() > 1 else torch.zeros_like(mean)
    return (x - mean) / (NORM_EPS + std), _Scale(mean, std)


def _as_channels(spectrum: Tensor) -> Tensor:
    """Complex [N, channels, F, T] to [N, 2 · channels, F, T]: real, imaginary of each channel."""
    n, channels, bins, frames = spectrum.shape
    return torch.view_as_real(spectrum).permute(0, 1, 4, 2, 3).reshape(n, 2 * channels, bins, frames)


def _as_complex(x: Tensor) -> Tensor:
    """[N, sources, 2 · channels, F, T] to complex [N, sources, channels, F, T]."""
    n, sources, doubled, bins, frames = x.shape
    parts = x.view(n, sources, doubled // 2, 2, bins, frames).permute(0, 1, 2, 4, 5, 3).contiguous()
    return torch.view_as_complex(parts)


def _rescale(network: nn.Module) -> None:
    """Bring convolutions of very different sizes to similar deviations, as the published initialisation does."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d):
                scale = (module.weight.std() / RESCALE_REFERENCE).sqrt()
                module.weight /= scale
                if module.bias is not None:
                    module.bias /= scale
