"""Conditioned networks of waveforms in torch, for training and for engines on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from my_submission.geometry import StftGeometry
from my_submission.networks.lasaft.framework import ConditionedNet
from my_submission.networks.spectra import channel_major, from_channels, part_major, to_channels


def to_part_major(waves: Tensor, geometry: StftGeometry) -> Tensor:
    """As ``dsp.stft.to_part_major``, in torch: (batch, 2, samples) to (batch, 4, frames, bins)."""
    return part_major(to_channels(waves, geometry))


def from_part_major(parts: Tensor, geometry: StftGeometry, *, samples: int | None = None) -> Tensor:
    """Inverse of :func:`to_part_major`: (batch, 4, frames, bins) to (batch, 2, samples)."""
    return from_channels(channel_major(parts), geometry, samples=samples)


class FixedSources(nn.Module):
    """A separator of fixed sources: spectra ``float32 [N, 4, frames, bins]`` to ``[N, sources, 4, frames, bins]``."""

    sources: Tensor

    def __init__(self, separator: ConditionedNet, sources: Sequence[int]) -> None:
        super().__init__()
        self.separator = separator
        self.register_buffer("sources", torch.tensor(tuple(sources), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Estimate the spectra of every source."""
        return self.separator.separate(x, self.sources)


class FixedSourcesOfWaves(nn.Module):
    """A separator of fixed sources with its transforms: ``float32 [N, 2, samples]`` to ``[N, sources, 2, samples]``."""

    def __init__(self, separator: ConditionedNet, sources: Sequence[int], geometry: StftGeometry) -> None:
        super().__init__()
        self.network = FixedSources(separator, sources)
        self.geometry = geometry

    def forward(self, waves: Tensor) -> Tensor:
        """Estimate the waveforms of every source."""
        spectra = self.network(to_part_major(waves, self.geometry))
        n, n_sources = spectra.shape[:2]
        separated = from_part_major(spectra.flatten(0, 1), self.geometry, samples=waves.shape[-1])
        return separated.view(n, n_sources, *separated.shape[1:])
