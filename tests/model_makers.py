"""Makers of models folders with random weights, for tests that need a whole system."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from my_submission.geometry import SpectralChunking, StftGeometry
from my_submission.stems import MUSIC_SOURCES

if TYPE_CHECKING:  # so that a test of folders and manifests needs no torch
    import torch

    from my_submission.networks.demucs import Demucs
    from my_submission.networks.tfc_tdf import TfcTdfNet

TINY_N_FFT = {"bass": 1024, "drums": 256, "other": 512, "vocals": 384}


def random_network(bins: int, *, depth: int = 5, growth: int = 4, seed: int = 0) -> TfcTdfNet:
    """A small TFC-TDF network in evaluation mode whose BatchNorms have seen something."""
    import torch

    from my_submission.networks.tfc_tdf import TfcTdfConfig, TfcTdfNet

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = TfcTdfNet(TfcTdfConfig(bins=bins, depth=depth, growth=growth))
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.8, 1.2)
    return network.eval()


def passing_the_mixture(network: TfcTdfNet, *, share: float = 0.3) -> TfcTdfNet:
    """The network with the mixture added to ``share`` of what its weights make of it, through eight of its channels.

    What random weights make of a spectrum is hardly the spectrum of anything, and most of it is gone after the inverse
    transform. This one's output is mostly sound, like that of a trained network; the arithmetic is the same.
    """
    import torch

    n_parts = 2 * network.config.channels
    state = network.state_dict()

    def norm(name: str, weight: float, bias: float) -> None:
        for key, value in (("weight", weight), ("bias", bias), ("running_mean", 0.0), ("running_var", 1.0)):
            state[f"{name}.{key}"][:n_parts] = value

    def convolution(name: str, rows: torch.Tensor) -> None:
        weight = state[f"{name}.weight"]
        weight[:n_parts] = 0
        weight[:n_parts, : rows.shape[1], weight.shape[2] // 2, weight.shape[3] // 2] = rows
        state[f"{name}.bias"][:n_parts] = 0

    halves = torch.kron(torch.eye(network.config.channels), torch.tensor([[1.0], [-1.0]]))
    convolution("first_conv.0", halves)
    norm("first_conv.1", 1, 0)
    for block in ("ds_dense.0", f"us_dense.{network.config.scales - 1}"):
        for index in range(network.config.convs_per_block):
            convolution(f"{block}.H.{index}.0", torch.eye(n_parts))
            norm(f"{block}.H.{index}.1", 1, 0)
        norm(f"{block}.tdf.4", 0, 0)
    norm(f"us.{network.config.scales - 1}.1", 0, 1)
    final = state["final_conv.0.weight"]
    final *= share
    final[:, :n_parts, 0, 0] = halves.T
    return network


def random_demucs(channels: int = 4, *, seed: int = 0) -> Demucs:
    """A Demucs v2 of random weights in evaluation mode."""
    import torch

    from my_submission.graphs.demucs_shape import DemucsConfig
    from my_submission.networks.demucs import Demucs

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Demucs(DemucsConfig(channels=channels)).eval()


def entry(name: str, folder: Path, path: str, **more: object) -> dict[str, object]:
    """A manifest entry for a file that is there."""
    content = (folder / path).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    fixed = {"name": name, "path": path, "sha256": digest, "bytes": len(content), "sources": [], "licence": "MIT"}
    fixed |= {"target": None, "geometry": None}
    return {**fixed, **more}


def write_manifest(folder: Path, entries: list[dict[str, object]]) -> None:
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "artefacts": entries}), encoding="utf-8")


def write_spectral(
    folder: Path, name: str, network: TfcTdfNet, *, n_fft: int, hop: int, bins: int, frames: int
) -> dict[str, object]:
    """Export a network and return its manifest entry."""
    from training.export.spectral import export

    path = folder / f"{name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    target = name.rpartition("/")[2]
    export(network, SpectralChunking(StftGeometry(n_fft, hop, bins), frames), target, path)
    geometry = {"n_fft": n_fft, "hop": hop}
    return entry(name, folder, f"{name}.onnx", format="onnx", architecture="tfc-tdf", target=target, geometry=geometry)


def write_torch(
    folder: Path, name: str, state: Mapping[str, torch.Tensor], architecture: str, *, suffix: str = "th"
) -> dict[str, object]:
    """Save a state dict and return its manifest entry."""
    import torch

    path = folder / f"{name}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state), path)
    return entry(name, folder, f"{name}.{suffix}", format="torch", architecture=architecture)


def random_mixer(seed: int = 0) -> np.ndarray:
    """A Mixer near the identity, float32 (8, 10)."""
    rng = np.random.default_rng(seed)
    return (np.eye(8, 10) + 0.1 * rng.standard_normal((8, 10))).astype(np.float32)


def write_tiny_models(folder: Path) -> None:
    """A models folder whose starter is four tiny networks and a Mixer of random weights; it is in ``tests/data``."""
    import torch

    shape = {"hop": 64, "bins": 64, "frames": 128}
    entries = [
        write_spectral(folder, f"starter/{source}", random_network(64, growth=2), n_fft=TINY_N_FFT[source], **shape)
        for source in MUSIC_SOURCES
    ]
    entries.append(
        write_torch(
            folder, "starter/mixer", {"linear.weight": torch.from_numpy(random_mixer())}, "mixer", suffix="ckpt"
        )
    )
    write_manifest(folder, entries)
