"""What a conditioned network estimates, and from what: complex or magnitude spectra, by mapping or by a mask.

Whatever the framework, complex spectra go in and come out, so that everything around a network is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, get_args

import torch
from torch import Tensor, nn

from my_submission.networks.lasaft.config import (
    STEREO,
    LasaftV1Config,
    LasaftV2Config,
    SpecEstMode,
    SpecType,
    refuse_unknown,
)
from my_submission.networks.lasaft.gated_tfc_tdf import GatedTfcTdfConfig, GatedTfcTdfNet
from my_submission.networks.lasaft.v1 import LasaftV1Net
from my_submission.networks.lasaft.v2 import LasaftV2Net

LasaftConfig: TypeAlias = LasaftV1Config | LasaftV2Config
ConditionedConfig: TypeAlias = LasaftConfig | GatedTfcTdfConfig

_POWER_FLOOR = 1e-12
"""Below the power of one bit of 24 in one bin: keeps the phase of digital silence finite, and its gradient too."""


@dataclass(frozen=True, kw_only=True)
class FrameworkConfig:
    """A network and how its output is understood.

    Args:
        network: its shape.
        spec_type: ``complex`` gives the network real and imaginary parts, ``magnitude`` the absolute values.
        spec_est_mode: ``mapping`` takes the output for the target's spectrum, ``masking`` multiplies the mixture's by
            it. Magnitudes take the mixture's phase either way. A complex mask is one complex factor a channel and bin.
    """

    network: ConditionedConfig
    spec_type: SpecType = "complex"
    spec_est_mode: SpecEstMode = "mapping"

    def __post_init__(self) -> None:
        refuse_unknown("spec_type", self.spec_type, get_args(SpecType))
        refuse_unknown("spec_est_mode", self.spec_est_mode, get_args(SpecEstMode))
        needed = 2 * STEREO if self.spec_type == "complex" else STEREO
        if self.network.input_channels != needed:
            problem = f"input_channels={self.network.input_channels} does not fit spec_type={self.spec_type!r}"
            raise ValueError(f"{problem}, which needs {needed}")


class _Window(nn.Module):
    """Holds the transform's window where the published classes held it."""

    def __init__(self, window: Tensor) -> None:
        super().__init__()
        self.register_buffer("window", window)


class ConditionedNet(nn.Module):
    """A network in its framework: ``float32 [N, 4, frames, bins]`` and source numbers to the sources' spectra.

    Channels are real left, real right, imaginary left, imaginary right. The state has the published key names:
    the network's under ``spec2spec.``, the transform's window as ``stft.stft.window``.
    """

    def __init__(self, config: FrameworkConfig) -> None:
        super().__init__()
        self.config = config
        network = config.network
        self.spec2spec = _network(network)
        self.stft = nn.Module()
        self.stft.stft = _Window(torch.hann_window(network.n_fft, periodic=True))

    def forward(self, x: Tensor, source_index: Tensor) -> Tensor:
        """One source of every item: ``int64 [N]`` names them; the input's shape comes out."""
        return self._understood(x, self.spec2spec(self._seen(x), source_index))

    def separate(self, x: Tensor, sources: Tensor) -> Tensor:
        """Several sources of every item: ``int64 [S]`` names them; ``[N, S, 4, frames, bins]`` comes out.

        Raises:
            ValueError: the network is in training mode.
        """
        return self._understood(x.unsqueeze(1), self.spec2spec.separate(self._seen(x), sources))

    def _seen(self, x: Tensor) -> Tensor:
        return x if self.config.spec_type == "complex" else _magnitude(x)

    def _understood(self, x: Tensor, y: Tensor) -> Tensor:
        """The complex spectrum that an output stands for; the channels are the third axis from the end."""
        is_mask = self.config.spec_est_mode == "masking"
        if self.config.spec_type == "complex":
            return _complex_product(x, y) if is_mask else y
        factor = y if is_mask else y / _magnitude(x)
        return x * torch.cat((factor, factor), dim=-3)


def _network(config: ConditionedConfig) -> LasaftV1Net | LasaftV2Net | GatedTfcTdfNet:
    if isinstance(config, LasaftV1Config):
        return LasaftV1Net(config)
    return LasaftV2Net(config) if isinstance(config, LasaftV2Config) else GatedTfcTdfNet(config)


def _magnitude(x: Tensor) -> Tensor:
    real, imaginary = x.chunk(2, dim=-3)
    return torch.sqrt(real * real + imaginary * imaginary + _POWER_FLOOR)


def _complex_product(x: Tensor, y: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-3)
    c, d = y.chunk(2, dim=-3)
    return torch.cat((a * c - b * d, a * d + b * c), dim=-3)
