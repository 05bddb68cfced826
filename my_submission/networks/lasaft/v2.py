"""LASAFT-Net-v2: TFC-TDF blocks without condition, and blocks that attend to the features of the mixture.

Definition: the authors' MDX 2021 submission and its medium and large variants, in which only decoders are conditioned,
so that one pass of the encoder serves every source; and the further options of their program.
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
    LinearEmbedding,
    WeightNormLinear,
    activation,
    downsampling,
    each_source,
    first_convolution,
    last_convolution,
    norm_of,
    pointwise_modulated,
    upsampling,
)


def _convolutions(config: LasaftV2Config, in_channels: int) -> DenseConvolutions:
    kernel = (config.kernel_size_t, config.kernel_size_f)
    channels, layers = config.internal_channels, config.n_internal_layers
    return DenseConvolutions(in_channels, channels, layers, kernel, config.tfc_tdf_activation, config.norm)


def _generator(config: LasaftV2Config, n_out: int) -> nn.Sequential:
    """Return the network from an embedding to coefficients; its activation is always ReLU."""
    length = config.embedding_dim
    return nn.Sequential(WeightNormLinear(length, length), nn.ReLU(), WeightNormLinear(length, n_out))


class PlainBlock(nn.Module):
    """TFC-TDF, which ignores the source: ``[N, in, T, f]`` to ``[N, C, T, f]``."""

    def __init__(self, config: LasaftV2Config, in_channels: int, rows: int) -> None:
        super().__init__()
        self.tfc = _convolutions(config, in_channels)
        bias, act, norm = config.tfc_tdf_bias, config.tfc_tdf_activation, config.norm
        channels, narrow = config.internal_channels, config.narrowed(rows)
        self.tdf = FrequencyTransformation(channels, rows, narrow, rows, bias=bias, act=act, norm=norm)

    def forward(self, x: Tensor, _embedding: Tensor | None = None) -> Tensor:
        """Apply the block."""
        h = self.tfc(x)
        y: Tensor = h + self.tdf(h)
        return y


class LightSaft(nn.Module):
    """Convolutions, and attention to latent sources by the source's embedding and the features.

    With both ways of listening, two parameters have no effect and are kept for the published key names: the shift of
    the query's modulation is equal in every row, so the LayerNorm behind it cancels it; the bias of the keys is equal
    for every latent source, so the softmax cancels it.
    """

    def __init__(self, config: LasaftV2Config, in_channels: int, rows: int) -> None:
        super().__init__()
        self.config, self.rows = config, rows
        channels, latent, narrow = config.internal_channels, config.num_tdfs, config.narrowed(rows)
        self.tfc = _convolutions(config, in_channels)
        self.LaSAFT_bn_layer = nn.Sequential(
            nn.Linear(rows, narrow * latent, bias=config.tfc_tdf_bias),
            norm_of(channels, config.norm),
            activation(config.tfc_tdf_activation),
        )
        self.LaSIFT = nn.Sequential(
            norm_of(channels, config.norm),
            nn.Linear(narrow, rows, bias=config.tfc_tdf_bias),
            activation(config.tfc_tdf_activation),
        )
        self.linear_query: nn.Module
        self.keys: nn.Module | nn.Parameter
        if config.query_listen:
            self.query_pocm_generator = _generator(config, channels + 1)
            self.linear_query = nn.Sequential(nn.LayerNorm(rows), nn.ReLU(), nn.Linear(rows, config.dk))
        else:
            self.linear_query = nn.Linear(config.embedding_dim, config.dk)
        if config.key_listen:
            self.keys = nn.Sequential(
                nn.Conv2d(channels, latent, 1), nn.BatchNorm2d(latent), nn.ReLU(), nn.Linear(rows, config.dk)
            )
        else:
            self.keys = nn.Parameter(torch.randn(1, 1, config.dk, latent))

    def attention(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Return the weights of the latent sources, ``[N, T or 1, L, 1]``; they add up to one over L."""
        keys = self._keys(h)  # [N or 1, T or 1, L, dk]
        query = self._query(h, embedding)  # [N, T or 1, dk, 1]
        return torch.softmax(keys @ query / math.sqrt(self.config.dk), dim=2)

    def _query(self, h: Tensor, embedding: Tensor) -> Tensor:
        if not self.config.query_listen:
            of_embedding: Tensor = self.linear_query(embedding)
            return of_embedding[:, None, :, None]
        channels = self.config.internal_channels
        coefficients = self.query_pocm_generator(embedding)
        gamma, beta = coefficients[:, :channels, None], coefficients[:, channels:]
        of_features: Tensor = self.linear_query(pointwise_modulated(h, gamma, beta))
        return of_features.permute(0, 2, 3, 1)

    def _keys(self, h: Tensor) -> Tensor:
        if isinstance(self.keys, nn.Parameter):
            return self.keys.transpose(2, 3)
        of_features: Tensor = self.keys(h)
        return of_features.transpose(1, 2)

    def transformed(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Return the term that is added to the features ``[N, C, T, f]``."""
        narrow, latent = self.config.narrowed(self.rows), self.config.num_tdfs
        values = self.LaSAFT_bn_layer(h).unflatten(-1, (narrow, latent))  # latent sources vary fastest
        mixed = values @ self.attention(h, embedding).unsqueeze(1)
        y: Tensor = self.LaSIFT(mixed.squeeze(-1))
        return y


class ConditionedBlock(nn.Module):
    """Convolutions, a gated PoCM generated from the embedding, and LightSAFT added to its result."""

    def __init__(self, config: LasaftV2Config, in_channels: int, rows: int) -> None:
        super().__init__()
        self.channels = config.internal_channels
        self.tfc_lightsaft = LightSaft(config, in_channels, rows)
        self.pocm_generator = _generator(config, self.channels**2 + self.channels)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map ``[N, in, T, f]`` and embeddings ``[N, E]`` to ``[N, C, T, f]``."""
        return self.conditioned(self.convolved(x), embedding)

    def convolved(self, x: Tensor) -> Tensor:
        """Apply the part that does not depend on the embedding."""
        y: Tensor = self.tfc_lightsaft.tfc(x)
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
        channels, levels, norm = config.internal_channels, config.levels, config.norm
        down, up = config.after_downsampling, config.after_upsampling
        self.first_conv = first_convolution(config.input_channels, channels, config.first_conv_activation, norm)
        self.encoders = nn.ModuleList(self._block(i, channels, config.rows(i)) for i in range(levels))
        self.downsamplings = nn.ModuleList(downsampling(channels, config.step(i), down, norm) for i in range(levels))
        self.mid_block = self._block(levels, channels, config.rows(levels))
        upward = range(levels - 1, -1, -1)
        self.upsamplings = nn.ModuleList(upsampling(channels, config.step(i), up, norm) for i in upward)
        self.decoders = nn.ModuleList(self._block(2 * levels - i, 2 * channels, config.rows(i)) for i in upward)
        self.last_conv = last_convolution(channels, config.input_channels, config.last_activation)
        make = nn.Embedding if config.control_vector_type == "embedding" else LinearEmbedding
        self.embedding = make(config.control_input_dim, config.embedding_dim)

    def _block(self, number: int, in_channels: int, rows: int) -> PlainBlock | ConditionedBlock:
        kind = ConditionedBlock if number in self.config.conditioned else PlainBlock
        return kind(self.config, in_channels, rows)

    def forward(self, x: Tensor, source_index: Tensor) -> Tensor:
        """Estimate one source per item."""
        return self._separated(self.first_conv(x), self.embedding(source_index))

    def _separated(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Map the output of the first convolution and one embedding per item to spectra."""
        return self._decoded(*self.encoded(h, embedding), embedding)

    def _decoded(self, h: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        """Map the outputs of the bottleneck and of every encoder to spectra."""
        for up, decoder in zip(self.upsamplings, self.decoders, strict=True):
            h = decoder(torch.cat((up(h), skips.pop()), dim=1), embedding)
        y: Tensor = self.last_conv(h)
        return y

    def separate(self, x: Tensor, sources: Tensor) -> Tensor:
        """Estimate several sources: ``[N, channels, T, bins]`` and ``int64 [S]`` to ``[N, S, channels, T, bins]``.

        They share all work before the first conditioned block. If only decoders are conditioned, the sources share the
        encoder; in evaluation mode also the convolutions of the first decoder, and the other decoders' convolutions of
        the encoder's features, whose norms depend on all sources in training.
        """
        n, n_sources = x.shape[0], sources.shape[0]
        embedding, h = self.embedding(sources.repeat(n)), self.first_conv(x)
        if self.config.condition_to != "decoder":
            y = self._separated(each_source(h, n_sources), embedding)
        elif self.training:
            y = self._decoded_apart(h, embedding, n_sources)
        else:
            y = self._decoded_together(h, embedding, n_sources)
        return y.view(n, n_sources, *y.shape[1:])

    def _decoded_apart(self, h: Tensor, embedding: Tensor, n_sources: int) -> Tensor:
        """Encode once, and decode every source by itself."""
        h, skips = self.encoded(h, embedding)
        return self._decoded(each_source(h, n_sources), [each_source(skip, n_sources) for skip in skips], embedding)

    def _decoded_together(self, h: Tensor, embedding: Tensor, n_sources: int) -> Tensor:
        h, skips = self.encoded(h, embedding)
        first, *others = (cast("ConditionedBlock", decoder) for decoder in self.decoders)
        common = first.convolved(torch.cat((self.upsamplings[0](h), skips.pop()), dim=1))
        h = first.conditioned(each_source(common, n_sources), embedding)
        for up, decoder in zip(self.upsamplings[1:], others, strict=True):
            h = decoder.of_each_source(up(h), skips.pop(), embedding, n_sources)
        y: Tensor = self.last_conv(h)
        return y

    def encoded(self, h: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the outputs of the bottleneck and of every encoder, outermost first."""
        skips = []
        for encoder, down in zip(self.encoders, self.downsamplings, strict=True):
            h = encoder(h, embedding)
            skips.append(h)
            h = down(h)
        return self.mid_block(h, embedding), skips
