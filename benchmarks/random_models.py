"""Models folders of leaderboards A and B with random weights, at the published geometry or small enough for a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.model_makers import (
    passing_the_mixture,
    random_demucs,
    random_mixer,
    random_network,
    write_manifest,
    write_spectral,
    write_torch,
)


@dataclass(frozen=True)
class Geometry:
    """Sizes of the networks.

    Attributes:
        n_fft: length of each source's transform.
        hop: hop of all transforms.
        bins: kept of each spectrum.
        frames: number of frames of a chunk.
        depth: blocks of a TFC-TDF network.
        growth: channels of its first block.
        demucs_channels: channels of the first level of Demucs.
    """

    n_fft: Mapping[str, int]
    hop: int
    bins: int
    frames: int
    depth: int
    growth: int
    demucs_channels: int


GEOMETRIES = {
    "published": Geometry(
        {"bass": 16384, "drums": 4096, "other": 8192, "vocals": 6144}, 1024, 2048, 512, 11, 32, demucs_channels=64
    ),
    "tiny": Geometry({"bass": 1024, "drums": 256, "other": 512, "vocals": 384}, 64, 64, 64, 5, 12, demucs_channels=4),
}


def write_models(folder: Path, geometry: Geometry, *, has_mixer: bool = True) -> None:
    """Write the networks, Mixer, Demucs and manifest of leaderboard A, or of B, which has no Mixer.

    The networks pass the mixture through.
    """
    system, demucs_name = ("kuielab-a", "demucs/demucs") if has_mixer else ("kuielab-b", "demucs/demucs-extra")
    entries = []
    for seed, (source, n_fft) in enumerate(geometry.n_fft.items()):
        network = random_network(geometry.bins, depth=geometry.depth, growth=geometry.growth, seed=seed)
        shape = {"n_fft": n_fft, "hop": geometry.hop, "bins": geometry.bins, "frames": geometry.frames}
        entries.append(write_spectral(folder, f"{system}/{source}", passing_the_mixture(network), **shape))
    demucs = random_demucs(geometry.demucs_channels)
    entries.append(write_torch(folder, demucs_name, demucs.state_dict(), "demucs-v2"))
    if has_mixer:
        mixer = {"linear.weight": torch.from_numpy(random_mixer())}
        entries.append(write_torch(folder, f"{system}/mixer", mixer, "mixer", suffix="ckpt"))
    write_manifest(folder, entries)
