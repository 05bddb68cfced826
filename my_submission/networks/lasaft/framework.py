"""Frameworks of conditioned networks: complex or magnitude spectra, by mapping or masking.

Input and output are complex spectra in every framework.
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


@dataclass(frozen=True, kw_only=True)
class FrameworkConfig:
    """A network with the meaning of its input and output.

    Args:
        network: its shape.
        spec_type: the input is ``complex``, real and imaginary parts, or ``magnitude``.
        spec_est_mode: the output is the target's spectrum (``mapping``) or a factor of the mixture's (``masking``):
            for complex spectra one factor for the real part and one for the imaginary part of every bin, as published.
            ``complex_masking`` is this project's: one complex factor per channel and bin. Magnitudes get the mixture's
            phase.
        hop: hop of the transform in samples, if its checkpoint states it.
        frames: number of frames of a chunk in training, if its checkpoint states it.
    """

    network: ConditionedConfig
    spec_type: SpecType = "complex"
    spec_est_mode: SpecEstMode = "mapping"
    hop: int | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        refuse_unknown("spec_type", self.spec_type, get_args(SpecType))
        refuse_unknown("spec_est_mode", self.spec_est_mode, get_args(SpecEstMode))
        needed = 2 * STEREO if self.spec_type == "complex" else STEREO
        if self.network.input_channels != needed:
            problem = f"input_channels={self.network.input_channels} does not fit spec_type={self.spec_type!r}"
            raise ValueError(f"{problem}, which needs {needed}")
        if self.spec_type == "magnitude" and self.spec_est_mode == "complex_masking":
            raise ValueError("spec_est_mode='complex_masking' needs spec_type='complex'")


class _Window(nn.Module):
    """Holds the transform's window under the published key."""

    def __init__(self, window: Tensor) -> None:
        super().__init__()
        self.register_buffer("window", window)


class ConditionedNet(nn.Module):
    """A network in its framework: ``float32 [N, 4, frames, bins]`` and source numbers to the sources' spectra.

    Channels are real left, real right, imaginary left, imaginary right. The state has the published key names: those of
    the network under ``spec2spec.``, and the window ``stft.stft.window``.
    """

    def __init__(self, config: FrameworkConfig) -> None:
        super().__init__()
        self.config = config
        network = config.network
        self.spec2spec = _network(network)
        self.stft = nn.Module()
        self.stft.stft = _Window(torch.hann_window(network.n_fft, periodic=True))

    def forward(self, x: Tensor, source_index: Tensor) -> Tensor:
        """Estimate one source per item, numbered by ``int64 [N]``, in the input's shape."""
        return self._spectra(x, self.spec2spec(self._input(x), source_index))

    def separate(self, x: Tensor, sources: Tensor) -> Tensor:
        """Estimate several sources of every item, numbered by ``int64 [S]``: ``[N, S, 4, frames, bins]``."""
        return self._spectra(x.unsqueeze(1), self.spec2spec.separate(self._input(x), sources))

    def _input(self, x: Tensor) -> Tensor:
        return x if self.config.spec_type == "complex" else _magnitude(x)

    def _spectra(self, x: Tensor, y: Tensor) -> Tensor:
        """Convert the network's output to complex spectra; channels are the third axis from the end."""
        mode = self.config.spec_est_mode
        if mode == "complex_masking":
            return _complex_product(x, y)
        if self.config.spec_type == "complex":
            return x * y if mode == "masking" else y
        if mode == "masking":
            return x * torch.cat((y, y), dim=-3)
        return _unit_phase(x) * torch.cat((y, y), dim=-3)


def _network(config: ConditionedConfig) -> LasaftV1Net | LasaftV2Net | GatedTfcTdfNet:
    if isinstance(config, LasaftV1Config):
        return LasaftV1Net(config)
    return LasaftV2Net(config) if isinstance(config, LasaftV2Config) else GatedTfcTdfNet(config)


def _magnitude(x: Tensor) -> Tensor:
    """Return magnitudes ``[…, 2, T, F]`` of complex spectra ``[…, 4, T, F]``, without a floor as published."""
    real, imaginary = x.chunk(2, dim=-3)
    power = real * real + imaginary * imaginary
    is_silent = power == 0
    return torch.where(is_silent, 0.0, torch.sqrt(torch.where(is_silent, 1.0, power)))  # with a finite gradient


def _unit_phase(x: Tensor) -> Tensor:
    """Return spectra ``[…, 4, T, F]`` with all magnitudes one; the phase of zero is zero."""
    real, imaginary = x.chunk(2, dim=-3)
    magnitude = _magnitude(x)
    is_silent = magnitude == 0
    length = torch.where(is_silent, 1.0, magnitude)
    return torch.cat((torch.where(is_silent, 1.0, real / length), imaginary / length), dim=-3)


def _complex_product(x: Tensor, y: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-3)
    c, d = y.chunk(2, dim=-3)
    return torch.cat((a * c - b * d, a * d + b * c), dim=-3)
