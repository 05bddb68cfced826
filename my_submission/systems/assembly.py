"""Recipes made real: artefacts checked and opened, engines and separators built once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from my_submission.engines import Device
from my_submission.engines.onnx_engine import OnnxEngine, open_onnx
from my_submission.engines.spectral_engine import spectral_engine
from my_submission.engines.torch_engine import open_torch
from my_submission.errors import WeightsError
from my_submission.geometry import SpectralChunking, StftGeometry
from my_submission.separators import Mixer, Separator, SpectralSeparator, WaveformSeparator
from my_submission.systems.recipes import BranchRecipe, SpectralRecipe, SystemRecipe, WaveformRecipe
from my_submission.weights import Artefact, ModelsFolder, read_state_dict

if TYPE_CHECKING:
    from my_submission.networks.demucs import Demucs

Precision = Literal["auto", "fp32", "bf16", "fp16"]

STEREO_SPECTRUM_CHANNELS = 4
"""Real and imaginary parts of left and right."""


@dataclass(frozen=True)
class Branch:
    """A branch ready to run.

    Attributes:
        name: as in the recipe.
        separators: run one after the other; together they estimate every source of ``shares``.
        mixer: applied once all of them are done.
        shares: source to share of the blend.
    """

    name: str
    separators: tuple[Separator, ...]
    mixer: Mixer | None
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Assembly:
    """A system ready to run.

    Attributes:
        recipe: what it was built from.
        branches: in order of work.
        cutoffs_hz: source to the frequency above which its spectral network is silent.
        weights: artefact name to the file in use.
    """

    recipe: SystemRecipe
    branches: tuple[Branch, ...]
    cutoffs_hz: Mapping[str, float]
    weights: Mapping[str, Path]


def assemble(
    recipe: SystemRecipe,
    models: ModelsFolder,
    *,
    device: Device,
    precision: Precision = "auto",
    threads: int | None = None,
    batch_chunks: int | None = None,
    allow_unverified: bool = False,
) -> Assembly:
    """Check every artefact of a system, then open it.

    Args:
        recipe: the system.
        models: where its artefacts are.
        device: where to run.
        precision: arithmetic of the torch networks; ONNX graphs run as they were stored, which is fp32.
        threads: processors for one run on the CPU; all that the process may use when not given.
        batch_chunks: spectral chunks in one run; one on the CPU, eight on a GPU when not given.
        allow_unverified: accept files whose hash is not the published one.

    Raises:
        WeightsError: an artefact is missing, damaged, or does not fit its place.
        DeviceError: the device cannot be used.
    """
    weights = {name: models.require(name, allow_unverified=allow_unverified) for name in recipe.artefacts}
    chunks = batch_chunks or (1 if device.kind == "cpu" else 8)
    builder = _Builder(models, weights, device, "fp32" if precision == "auto" else precision, threads, chunks)
    branches = tuple(builder.branch(branch) for branch in recipe.branches)
    return Assembly(recipe, branches, builder.cutoffs_hz, weights)


def graph_geometry(artefact: Artefact, engine: OnnxEngine) -> tuple[StftGeometry, int]:
    """Transform and frames of a spectral graph: bins and frames from the graph, n_fft and hop from the manifest.

    Raises:
        WeightsError: the graph is not one of stereo spectra, or does not fit the manifest.
    """
    path, shape = engine.path, engine.shape()
    if artefact.geometry is None:
        cure = 'add "geometry": {"n_fft": …, "hop": …} to its entry'
        raise WeightsError(f"the manifest states no n_fft and hop for {artefact.name}", where=path, cure=cure)
    if shape.channels != STEREO_SPECTRUM_CHANNELS:
        problem = f"the graph has {shape.channels} channels, {STEREO_SPECTRUM_CHANNELS} are needed for stereo"
        raise WeightsError(problem, where=path, cure="use a network of stereo spectra")
    try:
        return artefact.geometry.with_kept_bins(shape.bins), shape.frames
    except ValueError as error:
        problem = f"the graph keeps {shape.bins} bins, which does not fit the manifest ({error})"
        raise WeightsError(problem, where=path, cure="correct n_fft and hop in the manifest") from error


class _Builder:
    """Opens artefacts as the branches of one system ask for them."""

    def __init__(
        self,
        models: ModelsFolder,
        weights: Mapping[str, Path],
        device: Device,
        precision: Literal["fp32", "bf16", "fp16"],
        threads: int | None,
        batch_chunks: int,
    ) -> None:
        self.models = models
        self.weights = weights
        self.device = device
        self.precision = precision
        self.threads = threads
        self.batch_chunks = batch_chunks
        self.cutoffs_hz: dict[str, float] = {}

    def branch(self, branch: BranchRecipe) -> Branch:
        """Build one branch."""
        recipe = branch.recipe
        if isinstance(recipe, WaveformRecipe):
            return Branch(branch.name, (self._waveform(recipe),), None, branch.shares)
        separators = tuple(self._spectral(source, name, recipe) for source, name in recipe.networks.items())
        return Branch(branch.name, separators, self._mixer(recipe), branch.shares)

    def _spectral(self, source: str, name: str, recipe: SpectralRecipe) -> SpectralSeparator:
        engine = open_onnx(self.weights[name], device=self.device, threads=self.threads)
        chunking = SpectralChunking(*graph_geometry(self.models.artefact(name), engine), trim=recipe.trim_samples)
        self.cutoffs_hz[source] = chunking.stft.cutoff_hz
        return SpectralSeparator(
            source, spectral_engine(engine, chunking.stft), chunking, batch_chunks=self.batch_chunks
        )

    def _mixer(self, recipe: SpectralRecipe) -> Mixer | None:
        if recipe.mixer is None:
            return None
        path = self.weights[recipe.mixer]
        state = read_state_dict(path)
        if set(state) != {"linear.weight"}:
            problem = f"a Mixer holds one tensor linear.weight, this file holds {', '.join(sorted(state)) or 'nothing'}"
            raise WeightsError(problem, where=path, cure="fetch the Mixer again")
        try:
            return Mixer(state["linear.weight"], sources=recipe.sources)
        except ValueError as error:
            raise WeightsError(f"this is no Mixer: {error}", where=path, cure="fetch the Mixer again") from error

    def _waveform(self, recipe: WaveformRecipe) -> WaveformSeparator:
        path = self.weights[recipe.network]
        architecture = self.models.artefact(recipe.network).architecture
        engine = open_torch(path, architecture, device=self.device, precision=self.precision, threads=self.threads)
        return WaveformSeparator(
            engine,
            recipe.sources,
            valid_length=cast("Demucs", engine.network).config.valid_length,
            chunking=recipe.chunking,
            normalisation=recipe.normalisation,
        )
