"""Systems ready to run: artefacts checked, mechanisms opened."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from my_submission.errors import UnknownNameError, WeightsError
from my_submission.mechanisms import Fitted, Mechanism, Opening, RunOptions
from my_submission.mechanisms.wiener import WIENER_SECONDS_PER_SOURCE
from my_submission.systems.recipes import SYSTEMS_FILE, BranchRecipe, SystemRecipe
from my_submission.systems.usual_costs import FILES_SECONDS, network_seconds, on_threads
from my_submission.weights import ModelsFolder
from my_submission.weights.option_files import digests_of

TOGETHER_BYTES = 64 << 20
"""Networks whose weights take no more than this stay in memory together while a song is separated from start to end."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Branch:
    """A branch ready to run.

    Attributes:
        name: as in the recipe.
        mechanism: estimates every source of ``shares``.
        shares: source to share of the blend.
        minus: sources that are taken out of its input.
        processor_seconds: usual processor seconds of its networks per second of song; None if unknown.
    """

    name: str
    mechanism: Mechanism
    shares: Mapping[str, float]
    minus: tuple[str, ...] = ()
    processor_seconds: float | None = None


def _no_fallback() -> Branch | None:
    return None


@dataclass(frozen=True)
class LoadedSystem:
    """A system ready to run.

    Attributes:
        recipe: the recipe that it was opened from.
        branches: branches in the order of work.
        weights: artefact name to the file in use.
        open_fallback: opens the first branch of the recipe's fallback once; returns None if its artefacts are missing.
    """

    recipe: SystemRecipe
    branches: tuple[Branch, ...]
    weights: Mapping[str, Path]
    open_fallback: Callable[[], Branch | None] = _no_fallback

    @property
    def n_first_branches(self) -> int:
        """Number of leading branches that together estimate every source: the first complete result."""
        missing = set(self.recipe.estimated)
        for number, branch in enumerate(self.branches, 1):
            missing -= {source for source, share in branch.shares.items() if share}
            if not missing:
                return number
        return len(self.branches)

    @property
    def is_streamable(self) -> bool:
        """Whether all networks can go through a song together: each can, and there is one or all are small."""
        mechanisms = [branch.mechanism for branch in self.branches]
        if not all(mechanism.is_streamable for mechanism in mechanisms):
            return False
        n_engines = sum(len(mechanism.engines) for mechanism in mechanisms)
        return n_engines <= 1 or sum(path.stat().st_size for path in self.weights.values()) <= TOGETHER_BYTES

    def open_weights(self) -> None:
        """Open all weights now, including those that are otherwise opened when they are first needed."""
        for branch in self.branches:
            branch.mechanism.open_weights()

    def fitted(self, fit: Callable[[Mechanism], Fitted[Mechanism]]) -> tuple[LoadedSystem, tuple[str, ...]]:
        """Return the system with mechanisms that fit a limit, and how they differ, one sentence each."""
        branches: list[Branch] = []
        notes: list[str] = []
        for branch in self.branches:
            fitted = fit(branch.mechanism)
            branches.append(replace(branch, mechanism=fitted.mechanism))
            notes.extend(f"{branch.name}: {note}" for note in fitted.notes)
        return replace(self, branches=tuple(branches)), tuple(notes)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks of the engines so far, such as precision checks and batches that did not fit."""
        return tuple(dict.fromkeys(remark for branch in self.branches for remark in branch.mechanism.remarks))

    @property
    def runs_on(self) -> tuple[str, ...]:
        """Libraries and devices of all networks, sorted, without duplicates."""
        return tuple(sorted({name for branch in self.branches for name in branch.mechanism.runs_on}))

    @property
    def cutoffs_hz(self) -> dict[str, float]:
        """Source to the frequency above which its spectral network is silent."""
        return {source: hz for branch in self.branches for source, hz in branch.mechanism.cutoffs_hz.items()}

    def usual_seconds(self, song_seconds: float, n_threads: int) -> float | None:
        """Return the usual duration of a separation on the CPU, in seconds; None if the cost of a network is unknown.

        Args:
            song_seconds: length of the song.
            n_threads: threads of a run.
        """
        known = [branch.processor_seconds for branch in self.branches if branch.processor_seconds is not None]
        if len(known) < len(self.branches):
            return None
        wiener = self.recipe.wiener
        filtering = 0.0 if wiener is None else WIENER_SECONDS_PER_SOURCE * len(wiener.shares)
        return (on_threads(sum(known), n_threads) + filtering + FILES_SECONDS) * song_seconds

    @cached_property
    def weight_digests(self) -> Mapping[str, str]:
        """Artefact name to the SHA-256 of its file; likewise of all other files that the samples depend on."""
        return content_digests(self.recipe, self.weights)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the content of all weights, hexadecimal; the key of measured costs."""
        return hashlib.sha256(json.dumps(self.weight_digests).encode()).hexdigest()


def content_digests(recipe: SystemRecipe, weights: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 of everything that the samples of a system depend on, sorted by name.

    That is: the file of each artefact, files with options of its training, and the entry of ``systems.toml``.

    Args:
        recipe: the system.
        weights: artefact name to its file.
    """
    definition = {SYSTEMS_FILE: recipe.definition} if recipe.definition else {}
    return dict(sorted({**digests_of(weights), **definition}.items()))


def load_system(
    recipe: SystemRecipe, models: ModelsFolder, options: RunOptions, *, allow_unverified: bool = False
) -> LoadedSystem:
    """Check every artefact of a system and open it.

    Args:
        recipe: the system.
        models: the folder of its artefacts.
        options: device, precision, runtime, threads.
        allow_unverified: accept files whose hash is not the published one.

    Raises:
        WeightsError: an artefact is missing, damaged, or does not fit its place.
        DeviceError: the device cannot be used.
    """
    _refuse_missing(recipe, models)
    weights = {name: models.require(name, allow_unverified=allow_unverified) for name in recipe.artefacts}
    opening = Opening(models, weights, options)
    branches = tuple(opened_branch(branch, opening) for branch in recipe.branches)
    return LoadedSystem(recipe, branches, weights, open_fallback=_fallback_opener(recipe, models, options))


def _refuse_missing(recipe: SystemRecipe, models: ModelsFolder) -> None:
    """Refuse a system without its weights, with the one command that gets all of them.

    Raises:
        WeightsError: files of the manifest are missing.
    """
    listed = {artefact.name for artefact in models.artefacts}
    missing = [name for name in recipe.artefacts if name in listed and not models.path(name).exists()]
    if not missing:
        return
    are_all = len(missing) == len(recipe.artefacts)
    files = "its weights are missing" if are_all else f"weights are missing ({', '.join(missing)})"
    problem = f"{recipe.name} cannot run: {files}"
    raise WeightsError(problem, where=models.directory, hint=models.hint_for(recipe.name, missing))


def opened_branch(branch: BranchRecipe, opening: Opening) -> Branch:
    """Return a branch whose mechanism is open; errors as for :meth:`Recipe.open`."""
    processor_seconds = network_seconds(branch.recipe.artefacts)
    return Branch(branch.name, branch.recipe.open(opening), branch.shares, branch.minus, processor_seconds)


def _fallback_opener(recipe: SystemRecipe, models: ModelsFolder, options: RunOptions) -> Callable[[], Branch | None]:
    """Return a function that opens the fallback of a system when it is first called."""

    @lru_cache(maxsize=1)
    def opened() -> Branch | None:
        if recipe.fallback is None:
            return None
        first = recipe.fallback.branches[0]
        try:
            weights = {name: models.require(name) for name in first.recipe.artefacts}
        except (UnknownNameError, WeightsError) as error:
            logger.info("%s cannot be used as a fallback: %s", recipe.fallback.name, error)
            return None
        return opened_branch(replace(first, name=recipe.fallback.name), Opening(models, weights, options))

    return opened
