"""Recipes made real: artefacts checked and opened, engines and separators built once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from my_submission.engines.spectral_engine import remarks_of
from my_submission.errors import UnknownNameError, WeightsError
from my_submission.separators import (
    ConditionedSeparator,
    MaskingSeparator,
    MidSideEngine,
    Mixer,
    Separator,
    SpectralSeparator,
    WaveformSeparator,
)
from my_submission.separators.mid_side import N_ROWS
from my_submission.systems.conditioned_networks import open_conditioned
from my_submission.systems.conditioned_recipe import ConditionedRecipe
from my_submission.systems.masking_networks import open_masking
from my_submission.systems.options import RunOptions
from my_submission.systems.recipes import (
    BranchRecipe,
    MaskingRecipe,
    MidSideRecipe,
    SpectralRecipe,
    SystemRecipe,
    WaveformRecipe,
)
from my_submission.systems.spectral_networks import open_spectral
from my_submission.systems.waveform_networks import WaveformNetwork, open_waveform
from my_submission.weights import ModelsFolder, read_state_dict
from my_submission.weights.content import remembered_sha256_of

logger = logging.getLogger(__name__)


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


def _no_fallback() -> Branch | None:
    return None


@dataclass(frozen=True)
class Assembly:
    """A system ready to run.

    Attributes:
        recipe: what it was built from.
        branches: in order of work.
        cutoffs_hz: source to the frequency above which its spectral network is silent.
        weights: artefact name to the file in use.
        open_fallback: opens the first branch of the recipe's fallback when time is short, None where its artefacts
            are not there; called again, it gives the same branch.
    """

    recipe: SystemRecipe
    branches: tuple[Branch, ...]
    cutoffs_hz: Mapping[str, float]
    weights: Mapping[str, Path]
    open_fallback: Callable[[], Branch | None] = _no_fallback

    def open(self) -> None:
        """Open all weights now, also those that are put off until they are needed."""
        for separator in (separator for branch in self.branches for separator in branch.separators):
            if isinstance(separator, WaveformSeparator):
                separator.open()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the engines have found out so far: arithmetic that was compared, batches that did not fit."""
        separators = [separator for branch in self.branches for separator in branch.separators]
        engines = [getattr(separator, "engine", None) for separator in separators]
        return tuple(remark for engine in engines for remark in remarks_of(engine))

    @cached_property
    def fingerprint(self) -> str:
        """The content of all weights as a hexadecimal hash: what a measured cost belongs to."""
        digests = {name: remembered_sha256_of(path) for name, path in sorted(self.weights.items())}
        return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def assemble(
    recipe: SystemRecipe, models: ModelsFolder, options: RunOptions, *, allow_unverified: bool = False
) -> Assembly:
    """Check every artefact of a system, then open it.

    Args:
        recipe: the system.
        models: where its artefacts are.
        options: device, precision, runtime, threads.
        allow_unverified: accept files whose hash is not the published one.

    Raises:
        WeightsError: an artefact is missing, damaged, or does not fit its place.
        DeviceError: the device cannot be used.
    """
    weights = {name: models.require(name, allow_unverified=allow_unverified) for name in recipe.artefacts}
    builder = _Builder(models, weights, options)
    branches = tuple(builder.branch(branch) for branch in recipe.branches)
    return Assembly(
        recipe, branches, builder.cutoffs_hz, weights, open_fallback=_fallback_opener(recipe, models, options)
    )


def _fallback_opener(recipe: SystemRecipe, models: ModelsFolder, options: RunOptions) -> Callable[[], Branch | None]:
    """What opens the fallback of a system, once, when it is first asked for."""

    @lru_cache(maxsize=1)
    def opened() -> Branch | None:
        if recipe.fallback is None:
            return None
        first = recipe.fallback.branches[0]
        try:
            weights = {name: models.require(name) for name in first.recipe.artefacts}
        except (UnknownNameError, WeightsError) as error:
            logger.info("%s cannot stand in where time is short: %s", recipe.fallback.name, error)
            return None
        return _Builder(models, weights, options).branch(replace(first, name=recipe.fallback.name))

    return opened


class _Builder:
    """Opens artefacts as the branches of one system ask for them."""

    def __init__(self, models: ModelsFolder, weights: Mapping[str, Path], options: RunOptions) -> None:
        self.models = models
        self.weights = weights
        self.options = options
        self.cutoffs_hz: dict[str, float] = {}

    def branch(self, branch: BranchRecipe) -> Branch:
        """Build one branch."""
        recipe = branch.recipe
        if isinstance(recipe, WaveformRecipe):
            return Branch(branch.name, (self._waveform(recipe),), None, branch.shares)
        if isinstance(recipe, MaskingRecipe):
            return Branch(branch.name, (self._masking(recipe),), None, branch.shares)
        if isinstance(recipe, ConditionedRecipe):
            return Branch(branch.name, (self._conditioned(recipe),), None, branch.shares)
        separators = tuple(self._spectral(source, name, recipe) for source, name in recipe.networks.items())
        return Branch(branch.name, separators, self._mixer(recipe), branch.shares)

    def _spectral(self, source: str, name: str, recipe: SpectralRecipe) -> SpectralSeparator:
        network = open_spectral(
            self.models.artefact(name),
            self.weights[name],
            self.options,
            trim_samples=recipe.trim_samples,
            overlap_ratio=recipe.overlap_ratio,
        )
        self.cutoffs_hz[source] = network.chunking.stft.cutoff_hz
        return SpectralSeparator(source, network.engine, network.chunking, batch_chunks=self.options.chunks_per_run)

    def _conditioned(self, recipe: ConditionedRecipe) -> ConditionedSeparator:
        name = recipe.network
        network = open_conditioned(self.models.artefact(name), self.weights[name], self.options, recipe)
        return ConditionedSeparator(
            recipe.sources,
            network.engine,
            network.chunking,
            batch_chunks=self.options.chunks_per_run,
            legacy=recipe.legacy,
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
        network = self._mid_side(recipe) if isinstance(recipe, MidSideRecipe) else self._stereo(recipe)
        return WaveformSeparator(
            network.engine,
            recipe.sources,
            valid_length=network.valid_length,
            chunking=recipe.chunking,
            normalisation=recipe.normalisation,
            bytes_per_sample=network.bytes_per_sample,
        )

    def _stereo(self, recipe: WaveformRecipe) -> WaveformNetwork:
        name = recipe.network
        return open_waveform(self.models.artefact(name), self.weights[name], self.options, rows=len(recipe.sources))

    def _mid_side(self, recipe: MidSideRecipe) -> WaveformNetwork:
        name, rows = recipe.network, len(recipe.order)
        network = open_waveform(self.models.artefact(name), self.weights[name], self.options, rows=rows, channels=1)
        together = min(N_ROWS, self.options.chunks_per_run)
        engine = MidSideEngine(network.engine, recipe.order, together=together)
        return replace(network, engine=engine, bytes_per_sample=together * network.bytes_per_sample)

    def _masking(self, recipe: MaskingRecipe) -> MaskingSeparator:
        name = recipe.network
        network = open_masking(self.models.artefact(name), self.weights[name], self.options)
        return MaskingSeparator(
            recipe.sources,
            network.engine,
            stft=network.stft,
            chunking=recipe.chunking,
            wiener=recipe.wiener,
            is_whole=recipe.is_whole,
        )
