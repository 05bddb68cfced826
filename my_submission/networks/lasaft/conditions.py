"""Modulations generated from a source's embedding: FiLM and PoCM, gated or not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from my_submission.networks.lasaft.config import Activation, LasaftV1Config
from my_submission.networks.lasaft.layers import activation, pointwise_modulated


@dataclass(frozen=True)
class Coefficients:
    """The modulation of one block for every item of a batch.

    Attributes:
        gamma: ``[N, C, C]`` for PoCM, ``[N, C]`` for FiLM.
        beta: ``[N, C]``.
        is_gated: whether the sigmoid of the modulated features gates the features.
    """

    gamma: Tensor
    beta: Tensor
    is_gated: bool

    def applied(self, features: Tensor) -> Tensor:
        """Modulate features ``[N, C, T, f]``."""
        if self.gamma.dim() == 3:
            modulated = pointwise_modulated(features, self.gamma, self.beta)
        else:
            modulated = features * self.gamma[:, :, None, None] + self.beta[:, :, None, None]
        return features * torch.sigmoid(modulated) if self.is_gated else modulated


class DenseControl(nn.Module):
    """Linear layers that each double the length of the embedding."""

    def __init__(self, config: LasaftV1Config) -> None:
        super().__init__()
        lengths = [config.condition_dim << step for step in range(config.control_n_layer)]
        layers: list[nn.Module] = []
        for step, (before, after) in enumerate(pairwise(lengths)):
            layers += [nn.Linear(before, after), nn.ReLU()]
            if step > 0:  # norm after dropout, as published
                layers += [nn.Dropout(config.dropout), nn.BatchNorm1d(after)]
        self.linear = nn.Sequential(*layers)
        self.length = lengths[-1]

    def forward(self, condition: Tensor) -> Tensor:
        """Map ``[N, condition]`` to ``[N, length]``."""
        y: Tensor = self.linear(condition)
        return y


class ConditionGenerator(nn.Module):
    """Generator of the modulations of all conditioned blocks.

    In training the norms behind the two heads cancel their biases; in evaluation, with stored statistics, they do not.
    """

    def __init__(self, config: LasaftV1Config) -> None:
        super().__init__()
        self.config = config
        self.dense_control_block = DenseControl(config)
        channels, n_blocks = config.internal_channels, len(config.modulated_blocks)
        self.gamma_shape = (channels, channels) if config.modulation.endswith("pocm") else (channels,)
        n_gamma = channels ** len(self.gamma_shape)
        self.linear_gamma = self._head(n_blocks * n_gamma, config.gamma_activation)
        self.linear_beta = self._head(n_blocks * channels, config.beta_activation)

    def forward(self, condition: Tensor) -> list[Coefficients]:
        """Map ``[N, condition]`` to one modulation per conditioned block, in the order in which they run."""
        control = self.dense_control_block(condition)
        n_blocks = len(self.config.modulated_blocks)
        gammas = self.linear_gamma(control).view(-1, n_blocks, *self.gamma_shape)
        betas = self.linear_beta(control).view(-1, n_blocks, self.config.internal_channels)
        if self.config.pocm_type == "naive" and len(self.gamma_shape) == 2:
            gammas = gammas.transpose(2, 3)
        is_gated = self.config.modulation.startswith("g")
        return [Coefficients(gammas[:, block], betas[:, block], is_gated) for block in range(n_blocks)]

    def _head(self, n_out: int, act: Activation) -> nn.Sequential:
        is_normed = self.config.pocm_norm == "batch_norm"
        norm = nn.BatchNorm1d(n_out, affine=False) if is_normed else nn.Identity()
        # The published heads have a layer without weights before the norm, hence the norm's key ".2".
        return nn.Sequential(nn.Linear(self.dense_control_block.length, n_out), activation(act), norm)
