"""LASAFT-Net-v2: an unconditioned encoder, and decoders that attend to its features.

Definition: the authors' MDX 2021 submission and its medium and large variants. One pass of the encoder serves every
source.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from my_submission.networks.lasaft.config import LasaftV2Config
from my_submission.networks.lasaft.layers import (
    DenseConvolutions,
    FrequencyTransformation,
    WeightNormLinear,
    activation,
    assert_evaluated,
    downsampling,
    each_source,
    first_convolution,
    last_convolution,
    pointwise_modulated,
    upsampling,
)


def _convolutions(config: LasaftV2Config, in_channels: int) -> DenseConvolutions:
    kernel = (config.kernel_size_t, config.kernel_size_f)
    channels, layers = config.internal_channels, config.n_internal_layers
    return DenseConvolutions(in_channels, channels, layers, kernel, config.tfc_tdf_activation)


def _generator(config: LasaftV2Config, n_out: int) -> nn.Sequential:
    """Return the network from an embedding to coefficients; its activation is always ReLU."""
    length = config.embedding_dim
    return nn.Sequential(WeightNormLinear(length, length), nn.ReLU(), WeightNormLinear(length, n_out))


class EncoderBlock(nn.Module):
    """TFC-TDF: ``[N, C, T, f]`` to the same shape."""

    def __init__(self, config: LasaftV2Config, rows: int) -> None:
        super().__init__()
        self.tfc = _convolutions(config, config.internal_channels)
        bias, act = config.tfc_tdf_bias, config.tfc_tdf_activation
        channels, narrow = config.internal_channels, config.narrowed(rows)
        self.tdf = FrequencyTransformation(channels, rows, narrow, rows, bias=bias, act=act)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        h = self.tfc(x)
        y: Tensor = h + self.tdf(h)
        return y


class LightSaft(nn.Module):
    """Convolutions, and attention to latent sources by the source's embedding and the features.

    Two parameters have no effect and are kept for the published key names: the shift of the query's modulation is equal
    in every row, so the LayerNorm behind it cancels it; the bias of the keys is equal for every latent source, so the
    softmax cancels it.
    """

    def __init__(self, config: LasaftV2Config, rows: int) -> None:
        super().__init__()
        self.config, self.rows = config, rows
        channels, latent, narrow = config.internal_channels, config.num_tdfs, config.narrowed(rows)
        self.tfc = _convolutions(config, 2 * channels)
        self.LaSAFT_bn_layer = nn.Sequential(
            nn.Linear(rows, narrow * latent, bias=config.tfc_tdf_bias),
            nn.BatchNorm2d(channels),
            activation(config.tfc_tdf_activation),
        )
        self.LaSIFT = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Linear(narrow, rows, bias=config.tfc_tdf_bias),
            activation(config.tfc_tdf_activation),
        )
        self.query_pocm_generator = _generator(config, channels + 1)
        self.linear_query = nn.Sequential(nn.LayerNorm(rows), nn.ReLU(), nn.Linear(rows, config.dk))
        self.keys = nn.Sequential(
            nn.Conv2d(channels, latent, 1), nn.BatchNorm2d(latent), nn.ReLU(), nn.Linear(rows, config.dk)
        )

    def attention(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Return the weights of the latent sources in each frame, ``[N, T, L, 1]``; they add up to one over L."""
        channels = self.config.internal_channels
        coefficients = self.query_pocm_generator(embedding)
        gamma, beta = coefficients[:, :channels, None], coefficients[:, channels:]
        query = self.linear_query(pointwise_modulated(h, gamma, beta)).transpose(1, 2)  # [N, T, 1, dk]
        keys = self.keys(h).transpose(1, 2)  # [N, T, L, dk]
        return torch.softmax(keys @ query.transpose(2, 3) / math.sqrt(self.config.dk), dim=2)

    def transformed(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Return the term that is added to the features ``[N, C, T, f]``."""
        narrow, latent = self.config.narrowed(self.rows), self.config.num_tdfs
        values = self.LaSAFT_bn_layer(h).unflatten(-1, (narrow, latent))  # latent sources vary fastest
        mixed = values @ self.attention(h, embedding).unsqueeze(1)
        y: Tensor = self.LaSIFT(mixed.squeeze(-1))
        return y


class DecoderBlock(nn.Module):
    """Convolutions, a gated PoCM generated from the embedding, and LightSAFT added to its result."""

    def __init__(self, config: LasaftV2Config, rows: int) -> None:
        super().__init__()
        self.channels = config.internal_channels
        self.tfc_lightsaft = LightSaft(config, rows)
        self.pocm_generator = _generator(config, self.channels**2 + self.channels)

    def forward(self, own: Tensor, skip: Tensor, embedding: Tensor) -> Tensor:
        """Decode features from below and from the encoder, ``[N, C, T, f]`` each, to the same shape."""
        return self.conditioned(self.convolved(own, skip), embedding)

    def convolved(self, own: Tensor, skip: Tensor) -> Tensor:
        """Apply the part that does not depend on the embedding."""
        y: Tensor = self.tfc_lightsaft.tfc(torch.cat((own, skip), dim=1))
        return y

    def of_each_source(self, own: Tensor, skip: Tensor, embedding: Tensor, n_sources: int) -> Tensor:
        """Decode ``own`` of ``[N · sources, C, T, f]`` with a common ``skip`` of ``[N, C, T, f]``."""
        return self.conditioned(self.tfc_lightsaft.tfc.with_common(own, skip, n_sources), embedding)

    def conditioned(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Apply the part behind the convolutions."""
        channels = self.channels
        coefficients = self.pocm_generator(embedding)
        gamma = coefficients[:, : channels**2].unflatten(1, (channels, channels))
        h = h * torch.sigmoid(pointwise_modulated(h, gamma, coefficients[:, channels**2 :]))
        return h + self.tfc_lightsaft.transformed(h, embedding)


class LasaftV2Net(nn.Module):
    """Spectra of mixtures and source numbers to spectra (or masks) of the sources.

    ``float32 [N, channels, frames, n_fft/2 + 1]`` and ``int64 [N]`` to the input's shape; frames are a multiple of
    ``config.frame_multiple``.
    """

    def __init__(self, config: LasaftV2Config) -> None:
        super().__init__()
        self.config = config
        channels, levels, act = config.internal_channels, config.levels, config.tfc_tdf_activation
        self.first_conv = first_convolution(config.input_channels, channels, config.first_conv_activation)
        self.encoders = nn.ModuleList(EncoderBlock(config, config.rows(i)) for i in range(levels))
        self.downsamplings = nn.ModuleList(downsampling(channels, config.step(i), act) for i in range(levels))
        self.mid_block = EncoderBlock(config, config.rows(levels))
        upward = range(levels - 1, -1, -1)
        self.upsamplings = nn.ModuleList(upsampling(channels, config.step(i), act) for i in upward)
        self.decoders = nn.ModuleList(DecoderBlock(config, config.rows(i)) for i in upward)
        self.last_conv = last_convolution(channels, config.input_channels, config.last_activation)
        self.embedding = nn.Embedding(config.control_input_dim, config.embedding_dim)

    def forward(self, x: Tensor, source_index: Tensor) -> Tensor:
        """Estimate one source per item."""
        embedding = self.embedding(source_index)
        h, skips = self.encoded(x)
        for up, decoder in zip(self.upsamplings, self.decoders, strict=True):
            h = decoder(up(h), skips.pop(), embedding)
        y: Tensor = self.last_conv(h)
        return y

    def separate(self, x: Tensor, sources: Tensor) -> Tensor:
        """Estimate several sources: ``[N, channels, T, bins]`` and ``int64 [S]`` to ``[N, S, channels, T, bins]``.

        They share the encoder, the convolutions of the first decoder, and the other decoders' convolutions of the
        encoder's features.

        Raises:
            ValueError: the network is in training mode.
        """
        assert_evaluated(self)
        n, n_sources = x.shape[0], sources.shape[0]
        embedding = self.embedding(sources.repeat(n))
        h, skips = self.encoded(x)
        first, *others = (cast("DecoderBlock", decoder) for decoder in self.decoders)
        common = first.convolved(self.upsamplings[0](h), skips.pop())
        h = first.conditioned(each_source(common, n_sources), embedding)
        for up, decoder in zip(self.upsamplings[1:], others, strict=True):
            h = decoder.of_each_source(up(h), skips.pop(), embedding, n_sources)
        y: Tensor = self.last_conv(h)
        return y.view(n, n_sources, *y.shape[1:])

    def encoded(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the outputs of the bottleneck and of every encoder, outermost first."""
        h, skips = self.first_conv(x), []
        for encoder, down in zip(self.encoders, self.downsamplings, strict=True):
            h = encoder(h)
            skips.append(h)
            h = down(h)
        return self.mid_block(h), skips
