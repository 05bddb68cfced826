"""Systems A and B of random weights, and a plain re-statement of the published inference over a whole song."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from my_submission.engines import Device
from my_submission.geometry import OverlapChunking, SpectralChunking, StftGeometry
from my_submission.mechanisms import RunOptions, WaveformRecipe
from my_submission.networks.tfc_tdf import TfcTdfNet
from my_submission.predictor import Predictor
from my_submission.stems import MUSIC_SOURCES
from my_submission.systems import BranchRecipe, SystemRecipe, load_system
from my_submission.systems.catalogue import KUIELAB_A, KUIELAB_B
from my_submission.weights import ModelsFolder
from tests.model_makers import random_demucs, random_mixer, random_network, write_manifest, write_spectral, write_torch
from tests.reference_systems import blend, demucs_estimate, spectral_estimate

PUBLISHED_N_FFT = {"bass": 16384, "drums": 4096, "other": 8192, "vocals": 6144}


def snr_db(reference: np.ndarray, estimate: np.ndarray) -> float:
    error = np.sum((reference.astype(np.float64) - estimate) ** 2)
    return float(10 * np.log10(np.sum(reference.astype(np.float64) ** 2) / max(error, 1e-300)))


def song(samples: int, seed: int = 3) -> np.ndarray:
    """Stereo noise with a common part, off centre, so that means and both deviations matter."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(samples)
    sides = rng.standard_normal((2, samples))
    return (0.1 * (common + 0.5 * sides) + np.array([[0.01], [-0.003]])).astype(np.float32)


class Rig:
    """A models folder of random weights, the system built from it, and what the reference needs."""

    def __init__(
        self,
        folder: Path,
        recipe: SystemRecipe,
        n_fft: dict[str, int],
        shapes: dict[str, dict[str, int]],
        *,
        depths: dict[str, int],
        growth: int,
        segment: int,
    ) -> None:
        self.n_fft, self.shapes, self.segment = n_fft, shapes, segment
        self.networks: dict[str, TfcTdfNet] = {}
        entries = []
        for seed, source in enumerate(MUSIC_SOURCES):
            shape = shapes[source]
            self.networks[source] = random_network(shape["bins"], depth=depths[source], growth=growth, seed=seed)
            name = recipe.branches[0].recipe.networks[source]
            entries.append(write_spectral(folder, name, self.networks[source], n_fft=n_fft[source], **shape))
        waveform = recipe.branches[1].recipe
        assert isinstance(waveform, WaveformRecipe)
        self.normalisation = waveform.normalisation
        self.demucs = random_demucs()
        entries.append(write_torch(folder, waveform.network, self.demucs.state_dict(), "demucs-v2"))
        self.mixer = None
        if recipe.branches[0].recipe.mixer:
            self.mixer = random_mixer()
            state = {"linear.weight": torch.from_numpy(self.mixer)}
            entries.append(write_torch(folder, "kuielab-a/mixer", state, "mixer", suffix="ckpt"))
        write_manifest(folder, entries)
        self.recipe, self.folder = _with_segment(recipe, segment), folder
        self.predictor = self.build(RunOptions(device=Device("cpu")))

    def build(self, options: RunOptions) -> Predictor:
        return Predictor(load_system(self.recipe, ModelsFolder(self.folder), options, allow_unverified=True))

    @property
    def kept_samples(self) -> int:
        shape = self.shapes["bass"]
        stft = StftGeometry(self.n_fft["bass"], shape["hop"], shape["bins"])
        return SpectralChunking(stft, shape["frames"]).kept_samples

    def reference(self, mixture: np.ndarray) -> dict[str, np.ndarray]:
        networks = {
            source: spectral_estimate(mixture, self.networks[source], n_fft=self.n_fft[source], **self.shapes[source])
            for source in MUSIC_SOURCES
        }
        demucs = demucs_estimate(
            mixture,
            self.demucs,
            self.demucs.config.valid_length,
            segment=self.segment,
            normalisation=self.normalisation,
        )
        return blend(networks, demucs, self.mixer, mixture)


def _with_segment(recipe: SystemRecipe, segment: int) -> SystemRecipe:
    first, second = recipe.branches
    assert isinstance(second.recipe, WaveformRecipe)
    shorter = replace(second.recipe, chunking=OverlapChunking(segment, 0.5))
    return replace(recipe, branches=(first, BranchRecipe(second.name, shorter, second.shares)))


def published_rig(board: str, folder: Path, *, growth: int) -> Rig:
    """Return board "a" or "b" at published transforms, bins, frames, depths and segments, with fewer channels."""
    frames = dict.fromkeys(MUSIC_SOURCES, 512 if board == "a" else 256)
    depths = dict.fromkeys(MUSIC_SOURCES, 11)
    if board == "b":
        frames["drums"], depths["drums"] = 128, 9
    shapes = {source: {"hop": 1024, "bins": 2048, "frames": frames[source]} for source in MUSIC_SOURCES}
    recipe = KUIELAB_A if board == "a" else KUIELAB_B
    return Rig(folder, recipe, PUBLISHED_N_FFT, shapes, depths=depths, growth=growth, segment=1_764_000)
