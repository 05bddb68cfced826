"""A whole system as one branch of another one: its branches, blend and filter, behind one estimate buffer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from my_submission.audio_io import Mixture
from my_submission.blending import StemBlender
from my_submission.engines import Engine
from my_submission.mechanisms import (
    DeviceLimit,
    Fitted,
    Mechanism,
    MemoryLimit,
    Opening,
    Recipe,
    SongContext,
    SongStages,
)
from my_submission.planning import Coverage, EstimateBuffer
from my_submission.stems import Stems, Waveform
from my_submission.systems.loaded_system import LoadedSystem, opened_branch
from my_submission.systems.recipes import SystemRecipe
from my_submission.systems.stem_choice import for_stems
from my_submission.systems.system_work import SystemWork


@dataclass(frozen=True)
class WholeSystemRecipe(Recipe):
    """All sources of a system, as it estimates them alone.

    Attributes:
        system: the system; its fallback is not used.
    """

    system: SystemRecipe

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of the system."""
        return self.system.sources

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Artefacts of all of its branches."""
        return self.system.artefacts

    @property
    def needs_statistics(self) -> bool:
        """Whether one of its branches needs statistics of the whole song."""
        return any(branch.recipe.needs_statistics for branch in self.system.branches)

    @property
    def cutoff_artefacts(self) -> Mapping[str, str]:
        """The networks of its branches."""
        return {
            source: name for branch in self.system.branches for source, name in branch.recipe.cutoff_artefacts.items()
        }

    def with_sources(self, sources: tuple[str, ...]) -> WholeSystemRecipe:
        """Return the system for some of its sources, without the work that they do not need."""
        return replace(self, system=for_stems(self.system, sources))

    def open(self, opening: Opening) -> WholeSystemMechanism:
        """Open all branches."""
        branches = tuple(opened_branch(branch, opening) for branch in self.system.branches)
        weights = {name: opening.path(name) for name in self.artefacts}
        return WholeSystemMechanism(LoadedSystem(self.system, branches, weights))


@dataclass(frozen=True)
class WholeSystemMechanism(Mechanism):
    """A system that is ready to run, as a mechanism.

    Attributes:
        system: the system.
    """

    system: LoadedSystem

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of the system."""
        return self.system.recipe.sources

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines of all branches."""
        return tuple(engine for branch in self.system.branches for engine in branch.mechanism.engines)

    @property
    def cutoffs_hz(self) -> Mapping[str, float]:
        """Cutoffs of its networks."""
        return self.system.cutoffs_hz

    @property
    def is_streamable(self) -> bool:
        """Whether its branches can go through a song together, from start to end."""
        return self.system.is_streamable

    def open_weights(self) -> None:
        """Open the weights of all branches."""
        self.system.open_weights()

    def long_song_passes(self, samples: int) -> float:
        """Return the largest number of its branches."""
        return max(branch.mechanism.long_song_passes(samples) for branch in self.system.branches)

    def stages(self, song: SongContext) -> SongStages:
        """Return the stages of all branches, and the Wiener filter's as closing."""

        def context(
            name: str, mixture: Mixture, shares: Mapping[str, float], earlier: Sequence[EstimateBuffer]
        ) -> SongContext:
            return replace(
                song,
                name=f"{song.name}: {name}",
                mixture=mixture,
                shares=shares,
                earlier=tuple(earlier),
                system=self.system.recipe.name,
                fingerprint=self.system.fingerprint,
            )

        work = SystemWork(self.system, song.mixture, context)
        blender = work.blender()
        closing = work.closing(blender)
        return SongStages(
            ComposedBuffer(blender), work.stages, work.refinements, closing=closing, reads=work.reads(closing)
        )

    def within_memory(self, limit: MemoryLimit) -> Fitted[Self]:
        """Return the system with branches that fit."""
        return self._fitted(lambda mechanism: mechanism.within_memory(limit))

    def within_device(self, limit: DeviceLimit) -> Fitted[Self]:
        """Return the system with branches that fit."""
        return self._fitted(lambda mechanism: mechanism.within_device(limit))

    def _fitted(self, fit: Callable[[Mechanism], Fitted[Mechanism]]) -> Fitted[Self]:
        system, notes = self.system.fitted(fit)
        return Fitted(replace(self, system=system), notes)


class ComposedBuffer:
    """The blend of a system as the estimates of one branch.

    Args:
        blender: the blend, with the system's filter.
    """

    def __init__(self, blender: StemBlender) -> None:
        self._blender = blender

    @property
    def coverage(self) -> Mapping[str, Coverage]:
        """Source to the samples that one of the branches has estimated."""
        return self._blender.coverage()

    def read(self, start: int, stop: int) -> Stems:
        """Return the stems of the system."""
        return self._blender.compose(start, stop)

    def degree(self, source: str, start: int, stop: int) -> Waveform | float:
        """Return the degree of coverage, 0 … 1."""
        return self._blender.coverage()[source].degree(start, stop)

    def energy_between(self, source: str, start: int, stop: int) -> float | None:
        """Return None: energies of a blend are not kept."""
        return None
