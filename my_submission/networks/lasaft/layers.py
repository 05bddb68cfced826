"""Layers of the conditioned U-Nets over ``[N, channels, frames, rows]``: convolutions and frequency transformations.

Attribute names are those of the published classes, so that their checkpoints load.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from my_submission.networks.lasaft.config import Activation, Norm

LEAKY_SLOPE = 0.01

_ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(LEAKY_SLOPE),
    "elu": nn.ELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softmax": lambda: nn.Softmax(dim=1),
    "identity": nn.Identity,
}


def activation(name: Activation) -> nn.Module:
    """Return the module of an activation."""
    return _ACTIVATIONS[name]()


def norm_of(channels: int, kind: Norm = "bn") -> nn.Module:
    """Return a norm over ``[N, channels, T, f]``.

    A group norm has as many groups as the largest divisor of the channels from 3 up to the root of their number,
    rounded up; one group if there is none. An instance norm has no weights.
    """
    if kind == "bn":
        return nn.BatchNorm2d(channels)
    if kind == "in":
        return nn.InstanceNorm2d(channels)
    possible = range(math.ceil(math.sqrt(channels)), 2, -1)
    return nn.GroupNorm(next((groups for groups in possible if channels % groups == 0), 1), channels)


def each_source(x: Tensor, n_sources: int) -> Tensor:
    """Repeat every item of ``[N, …]`` per source: ``[N · sources, …]``, item by item."""
    return x.unsqueeze(1).expand(-1, n_sources, *x.shape[1:]).flatten(0, 1)


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution with the norm behind it, in evaluation mode, folded in.

    Raises:
        ValueError: the norm is in training mode, in which its statistics depend on its input.
    """
    if norm.training:
        raise ValueError("the network is in training mode; call eval() before its norms are folded")
    scale = norm.weight * torch.rsqrt(_statistic(norm.running_var) + norm.eps)
    bias = norm.bias - _statistic(norm.running_mean) * scale
    if convolution.bias is not None:
        bias = bias + convolution.bias * scale
    return convolution.weight * scale[:, None, None, None], bias


def _statistic(value: Tensor | None) -> Tensor:
    if value is None:
        raise ValueError("the norm keeps no statistics, so it cannot be folded")
    return value


class DenseConvolutions(nn.Module):
    """TFC, or TDC with a kernel of one frame: the input of every layer is the concatenation of all results before it.

    ``[N, in, T, f]`` to ``[N, growth, T, f]``, the result of the last layer.
    """

    def __init__(
        self,
        in_channels: int,
        growth: int,
        n_layers: int,
        kernel: tuple[int, int],
        act: Activation,
        norm: Norm = "bn",
    ) -> None:
        super().__init__()
        self.growth = growth
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.H = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(in_channels + layer * growth, growth, kernel, padding=padding),
                norm_of(growth, norm),
                activation(act),
            )
            for layer in range(n_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the result of the last layer."""
        newest: Tensor = self.H[0](x)
        for layer in self.H[1:]:
            x = torch.cat((newest, x), dim=1)
            newest = layer(x)
        return newest

    def with_common(self, own: Tensor, common: Tensor, n_sources: int) -> Tensor:
        """Return the result for ``cat((own, common))``, where ``common`` is the same for all sources.

        Convolutions are linear, so the contribution of the common channels is computed once for all sources, unless a
        norm depends on the values.

        Args:
            own: ``[N · sources, own channels, T, f]``.
            common: ``[N, common channels, T, f]``.
            n_sources: sources per item.

        Raises:
            ValueError: the network is in training mode.
        """
        if not isinstance(self.H[0][1], nn.BatchNorm2d):  # type: ignore[index]
            whole: Tensor = self(torch.cat((own, each_source(common, n_sources)), dim=1))
            return whole
        layers = [(*folded(layer[0], layer[1]), layer[2]) for layer in self.H]  # type: ignore[index]
        n_common = common.shape[1]
        weights = torch.cat([weight[:, -n_common:] for weight, _, _ in layers])
        biases = torch.cat([bias for _, bias, _ in layers])
        padding = self.H[0][0].padding  # type: ignore[index]
        shares = torch.split(F.conv2d(common, weights, biases, padding=padding), self.growth, dim=1)
        newest = own[:, :0]
        for (weight, _, act), share in zip(layers, shares, strict=True):
            own = torch.cat((newest, own), dim=1)
            mapped = F.conv2d(own, weight[:, :-n_common], padding=padding)
            by_source = mapped.view(-1, n_sources, *mapped.shape[1:])
            newest = act(by_source + share.unsqueeze(1)).view(mapped.shape)
        return newest


class FrequencyTransformation(nn.Module):
    """TDF: two linear layers over the rows, ``[N, C, T, f]`` to ``[N, C, T, out]``."""

    def __init__(
        self, channels: int, rows: int, narrow: int, out: int, *, bias: bool, act: Activation, norm: Norm = "bn"
    ) -> None:
        super().__init__()
        self.tdf = nn.Sequential(
            nn.Linear(rows, narrow, bias=bias),
            norm_of(channels, norm),
            activation(act),
            nn.Linear(narrow, out, bias=bias),
            norm_of(channels, norm),
            activation(act),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Transform the rows."""
        y: Tensor = self.tdf(x)
        return y


class WeightNormLinear(nn.Module):
    """A linear layer with weight normalisation over dimension 0, under torch's first key names for it."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        start = nn.Linear(n_in, n_out)
        self.bias = nn.Parameter(start.bias.detach())
        self.weight_g = nn.Parameter(start.weight.detach().norm(dim=1, keepdim=True))
        self.weight_v = nn.Parameter(start.weight.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in]`` to ``[N, out]``."""
        weight = self.weight_g * self.weight_v / self.weight_v.norm(dim=1, keepdim=True)
        return F.linear(x, weight, self.bias)


class LinearEmbedding(nn.Module):
    """Embeddings as a linear layer on one-hot vectors: source numbers ``int64 [N]`` to ``[N, length]``."""

    def __init__(self, n_sources: int, length: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_sources, length, bias=False)

    def forward(self, source_index: Tensor) -> Tensor:
        """Return the embeddings."""
        return self.linear.weight.t()[source_index]


def first_convolution(in_channels: int, channels: int, act: Activation, norm: Norm = "bn") -> nn.Sequential:
    """Return the convolution from F + 1 bins to F rows."""
    return nn.Sequential(nn.Conv2d(in_channels, channels, (1, 2)), norm_of(channels, norm), activation(act))


def last_convolution(channels: int, out_channels: int, act: Activation) -> nn.Sequential:
    """Return the convolution from F rows to F + 1 bins."""
    return nn.Sequential(nn.Conv2d(channels, out_channels, (1, 2), padding=(0, 1)), activation(act))


def downsampling(channels: int, step: tuple[int, int], act: Activation, norm: Norm = "bn") -> nn.Sequential:
    """Return a convolution that shortens frames and rows by ``step``."""
    return nn.Sequential(nn.Conv2d(channels, channels, step, step), norm_of(channels, norm), activation(act))


def upsampling(channels: int, step: tuple[int, int], act: Activation, norm: Norm = "bn") -> nn.Sequential:
    """Return a transposed convolution that lengthens frames and rows by ``step``."""
    return nn.Sequential(nn.ConvTranspose2d(channels, channels, step, step), norm_of(channels, norm), activation(act))


def pointwise_modulated(features: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Apply PoCM: multiply the channels of every frame and row, as a row vector, by a matrix, and add a shift.

    Args:
        features: ``[N, C, T, f]``.
        gamma: ``[N, C, D]``.
        beta: ``[N, D]``.

    Returns:
        ``[N, D, T, f]``.
    """
    n, _, frames, rows = features.shape
    mixed = torch.bmm(gamma.transpose(1, 2), features.flatten(2))
    return (mixed + beta[:, :, None]).view(n, -1, frames, rows)
