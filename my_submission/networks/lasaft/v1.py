"""The first generation, LaSAFT and LightSAFT with GPoCM: a U-Net whose blocks attend to latent sources.

Definition: "LaSAFT: Latent Source Attentive Frequency Transformation for Conditioned Source Separation" (2020) and the
light version that its authors submitted to the Music Demixing Challenge 2021.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from my_submission.networks.lasaft.conditions import Coefficients, ConditionGenerator
from my_submission.networks.lasaft.config import ATTENTIVE_BLOCKS, LasaftV1Config
from my_submission.networks.lasaft.layers import (
    DenseConvolutions,
    FrequencyTransformation,
    activation,
    downsampling,
    each_source,
    first_convolution,
    last_convolution,
    upsampling,
)


class V1Block(nn.Module):
    """Convolutions, an optional modulation, and a frequency transformation added to the result.

    Members depend on ``config.block`` and have the published names.
    """

    def __init__(self, config: LasaftV1Config, in_channels: int, rows: int) -> None:
        super().__init__()
        self.config, self.rows = config, rows
        channels, kind = config.internal_channels, config.block
        if kind == "tdf":
            # The transformation keeps the number of channels, so a decoder's doubled input is halved first.
            is_wider = in_channels != channels
            self.to_channels = nn.Conv2d(in_channels, channels, 1) if is_wider else nn.Identity()
        else:
            kernel = (1 if kind == "tdc" else config.kernel_size_t, config.kernel_size_f)
            layers = config.n_internal_layers
            self.tfc = DenseConvolutions(in_channels, channels, layers, kernel, config.tfc_tdf_activation)
        if kind in {"tdf", "tfc_tdf"}:
            self.tdf = self._transformation(config.narrowed(rows), rows)
        if kind == "tfc_lasaft":
            self.tdfs = self._transformation(config.lasaft_units(rows), rows * config.num_tdfs)
        if kind == "tfc_lightsaft":
            self._make_light(config.narrowed(rows))
        if kind in ATTENTIVE_BLOCKS:
            self.keys = nn.Parameter(torch.randn(config.dk, config.num_tdfs))
            self.linear_query = nn.Linear(config.condition_dim, config.dk)

    def forward(self, x: Tensor, condition: Tensor, coefficients: Coefficients | None) -> Tensor:
        """Map ``[N, in, T, f]`` and the condition ``[N, E]`` to ``[N, C, T, f]``."""
        return self.conditioned(self.convolved(x), condition, coefficients)

    def convolved(self, x: Tensor) -> Tensor:
        """Apply the part that does not depend on the source."""
        convolve = self.to_channels if self.config.block == "tdf" else self.tfc
        y: Tensor = convolve(x)
        return y

    def conditioned(self, h: Tensor, condition: Tensor, coefficients: Coefficients | None) -> Tensor:
        """Apply the rest of the block."""
        if coefficients is not None:
            h = coefficients.applied(h)
        match self.config.block:
            case "tdf" | "tfc_tdf":
                added: Tensor = self.tdf(h)
            case "tfc_lasaft":
                added = self._lasaft(h, condition)
            case "tfc_lightsaft":
                added = self._lightsaft(h, condition)
            case _:
                return h
        result: Tensor = added if self.config.block == "tdf" else h + added
        return result

    def attention(self, condition: Tensor) -> Tensor:
        """Return the weights of the latent sources, ``[N, E]`` to ``[N, L]``; they add up to one."""
        scores = self.linear_query(condition) @ self.keys / math.sqrt(self.config.dk)
        return torch.softmax(scores, dim=-1)

    def _lasaft(self, h: Tensor, condition: Tensor) -> Tensor:
        values = self.tdfs(h).unflatten(-1, (self.rows, self.config.num_tdfs))  # latent sources vary fastest
        weights = self.attention(condition)[:, None, None, :, None]
        mixed: Tensor = values @ weights
        return mixed.squeeze(-1)

    def _lightsaft(self, h: Tensor, condition: Tensor) -> Tensor:
        narrow = self.config.narrowed(self.rows)
        values = self.LaSAFT_bn_layer(h).unflatten(-1, (self.config.num_tdfs, narrow))  # latent sources vary slowest
        weights = self.attention(condition)[:, None, None, None, :]
        y: Tensor = self.LaSIFT((weights @ values).squeeze(-2))
        return y

    def _transformation(self, narrow: int, out: int) -> FrequencyTransformation:
        config = self.config
        bias, act = config.tfc_tdf_bias, config.tfc_tdf_activation
        return FrequencyTransformation(config.internal_channels, self.rows, narrow, out, bias=bias, act=act)

    def _make_light(self, narrow: int) -> None:
        config, channels = self.config, self.config.internal_channels
        widened = narrow * config.num_tdfs
        self.LaSAFT_bn_layer = nn.Sequential(
            nn.Linear(self.rows, widened, bias=config.tfc_tdf_bias),
            nn.BatchNorm2d(channels),
            activation(config.tfc_tdf_activation),
        )
        self.LaSIFT = nn.Sequential(
            nn.Linear(narrow, self.rows, bias=config.tfc_tdf_bias),
            nn.BatchNorm2d(channels),
            activation(config.tfc_tdf_activation),
        )


class LasaftV1Net(nn.Module):
    """Spectra of mixtures and source numbers to spectra (or masks) of the sources.

    ``float32 [N, channels, frames, n_fft/2 + 1]`` and ``int64 [N]`` to the input's shape; frames are a multiple of
    ``config.frame_multiple``.
    """

    def __init__(self, config: LasaftV1Config) -> None:
        super().__init__()
        self.config = config
        channels, levels = config.internal_channels, config.levels
        self.first_conv = first_convolution(config.input_channels, channels, config.first_conv_activation)
        self.encoders = nn.ModuleList(V1Block(config, channels, config.rows(i)) for i in range(levels))
        # No activation follows a change of resolution in this generation.
        self.downsamplings = nn.ModuleList(downsampling(channels, config.step(i), "identity") for i in range(levels))
        self.mid_block = V1Block(config, channels, config.rows(levels))
        upward = range(levels - 1, -1, -1)
        self.upsamplings = nn.ModuleList(upsampling(channels, config.step(i), "identity") for i in upward)
        self.decoders = nn.ModuleList(V1Block(config, 2 * channels, config.rows(i)) for i in upward)
        self.last_conv = last_convolution(channels, config.input_channels, config.last_activation)
        if config.control_vector_type == "embedding":
            self.embedding = nn.Embedding(config.control_input_dim, config.embedding_dim)
        self.condition_generator = ConditionGenerator(config)

    def forward(self, x: Tensor, source_index: Tensor) -> Tensor:
        """Estimate one source per item."""
        return self._from_first_block(self._common(x), source_index)

    def separate(self, x: Tensor, sources: Tensor) -> Tensor:
        """Estimate several sources: ``[N, channels, T, bins]`` and ``int64 [S]`` to ``[N, S, channels, T, bins]``.

        Only the first convolution and the first block's convolutions are common to all sources, because every block's
        attention is conditioned.
        """
        n, n_sources = x.shape[0], sources.shape[0]
        common = each_source(self._common(x), n_sources)
        y = self._from_first_block(common, sources.repeat(n))
        return y.view(n, n_sources, *y.shape[1:])

    def _common(self, x: Tensor) -> Tensor:
        """Return the output of the first block's convolutions, which does not depend on the source."""
        return cast("V1Block", self.encoders[0]).convolved(self.first_conv(x))

    def _from_first_block(self, convolved: Tensor, source_index: Tensor) -> Tensor:
        condition = self.condition(source_index)
        changes = self._coefficients(condition)
        h = cast("V1Block", self.encoders[0]).conditioned(convolved, condition, next(changes))
        skips = [h]
        for down, encoder in zip(self.downsamplings, self.encoders[1:], strict=False):
            h = encoder(down(h), condition, next(changes))
            skips.append(h)
        h = self.mid_block(self.downsamplings[-1](h), condition, next(changes))
        for up, decoder in zip(self.upsamplings, self.decoders, strict=True):
            h = decoder(torch.cat((up(h), skips.pop()), dim=1), condition, next(changes))
        y: Tensor = self.last_conv(h)
        return y

    def condition(self, source_index: Tensor) -> Tensor:
        """Return the condition vectors ``[N, condition_dim]`` of sources ``int64 [N]``."""
        if self.config.control_vector_type == "one_hot_mode":
            return F.one_hot(source_index, self.config.control_input_dim).float()
        vectors: Tensor = self.embedding(source_index)
        return vectors

    def _coefficients(self, condition: Tensor) -> Iterator[Coefficients | None]:
        """Return the modulation or None for every block, in the order in which they run."""
        made = dict(zip(self.config.modulated_blocks, self.condition_generator(condition), strict=True))
        return iter([made.get(block) for block in range(self.config.n_blocks)])
