"""The work of a system on one song: the stages of its branches, and the blend of what they estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from my_submission.audio_io import Mixture
from my_submission.blending import BlendedBuffer, StemBlender, residual_mixture
from my_submission.mechanisms import SongContext, SongStages
from my_submission.mechanisms.wiener import WIENER_FILTER
from my_submission.planning import ClosingStage, EstimateBuffer, Stage
from my_submission.systems.loaded_system import Branch, LoadedSystem


class MakeContext(Protocol):
    """Makes the song as the input of a branch or of the filter."""

    def __call__(
        self, name: str, mixture: Mixture, shares: Mapping[str, float], earlier: Sequence[EstimateBuffer]
    ) -> SongContext:
        """Return the context of a branch of this name and these shares, on this input, after these estimates."""
        ...


@dataclass
class SystemWork:
    """The stages of a system's branches on one song, and their estimates.

    Attributes:
        system: the system.
        mixture: the song.
        make_context: makes the inputs of the branches.
        branches: stages of each branch, in the order of work.
        branch_of: stage to the name of its branch.
    """

    system: LoadedSystem
    mixture: Mixture
    make_context: MakeContext
    branches: list[SongStages] = field(default_factory=list, init=False)
    branch_of: dict[Stage, str] = field(default_factory=dict, init=False)
    _buffers: list[BlendedBuffer] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for branch in self.system.branches:
            self.branches.append(self._stages_of(branch))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of all branches, in the order of work; each with its filters if a later branch reads them."""
        return tuple(
            stage
            for number, branch in enumerate(self.branches)
            for stage in (*branch.stages, *self._early_filters(number))
        )

    @property
    def refinements(self) -> tuple[Stage, ...]:
        """Stages beyond the published work that have something to do, unless a filter has run before them."""
        return tuple(
            stage
            for number, branch in enumerate(self.branches)
            for stage in branch.refinements
            if stage.total_samples and not self._early_filters(number)
        )

    def named(self, stages: SongStages, name: str) -> SongStages:
        """Remember the branch of some stages, and return them."""
        self.branch_of.update(dict.fromkeys(stages.all, name))
        return stages

    def blender(self, fallback: BlendedBuffer | None = None) -> StemBlender:
        """Return the blend of the estimates, over a cheaper complete one if there is one."""
        recipe = self.system.recipe
        return StemBlender(
            recipe.sources,
            self.mixture,
            self._buffers,
            fallback,
            rest=recipe.rest,
            n_omitted=len(recipe.omitted),
            mixer=None if recipe.mixer is None else recipe.mixer.open(),
            completing=self._filtered_sources if recipe.wiener is not None and recipe.wiener.adds_up else (),
        )

    def closing(self, blender: StemBlender) -> tuple[ClosingStage, ...]:
        """Return the filters after all stages: those of branches, and the one over a blend, which then contains it."""
        of_branches = [
            stage
            for number, branch in enumerate(self.branches)
            if not self._is_read(number)
            for stage in branch.closing
        ]
        recipe = self.system.recipe.wiener
        if recipe is None:
            return tuple(of_branches)
        context = self._context(WIENER_FILTER, recipe.minus, recipe.shares)
        buffer, stage = recipe.stage(
            context,
            read=blender.estimates,
            is_estimated=blender.is_estimated,
            sources=self._filtered_sources,
        )
        blender.filtered = BlendedBuffer(buffer, recipe.shares)
        return (*of_branches, stage)

    def reads(self, closing: Sequence[ClosingStage]) -> dict[Stage, list[Stage]]:
        """Return stage to the stages whose estimates it reads.

        A branch reads the estimates of the sources that are subtracted from its input, and the filter those of all.
        """
        reads: dict[Stage, list[Stage]] = {}
        for number, own in enumerate(self.branches):
            before = [
                stage
                for earlier in range(number)
                if self._reads(number, earlier)
                for stage in (*self.branches[earlier].stages, *self.branches[earlier].closing)
            ]
            reads.update({stage: [*before, *own.reads.get(stage, ())] for stage in (*own.stages, *own.closing)})
        for stage in closing:
            if stage not in reads:
                reads[stage] = list(reads)
        return reads

    @property
    def _filtered_sources(self) -> tuple[str, ...]:
        """Sources of the filter over the blend; empty without one."""
        wiener = self.system.recipe.wiener
        return (
            () if wiener is None else tuple(each for each in self.system.recipe.estimated if each not in wiener.minus)
        )

    def _early_filters(self, number: int) -> tuple[ClosingStage, ...]:
        """Return the filters of a branch that run right after its stages, because a later branch reads them."""
        return self.branches[number].closing if self._is_read(number) else ()

    def _is_read(self, number: int) -> bool:
        """Whether a later branch reads the estimates of a branch."""
        return any(self._reads(later, number) for later in range(number + 1, len(self.system.branches)))

    def _reads(self, number: int, earlier: int) -> bool:
        """Whether estimates of an earlier branch are subtracted from the input of a branch."""
        shares = self.system.branches[earlier].shares
        return any(shares.get(source) for source in self.system.branches[number].minus)

    def _stages_of(self, branch: Branch) -> SongStages:
        """Return the stages of a branch, and add their buffer to those that are blended."""
        stages = branch.mechanism.stages(self._context(branch.name, branch.minus, branch.shares))
        self._buffers.append(BlendedBuffer(stages.buffer, branch.shares, stages.mixer))
        return self.named(stages, branch.name)

    def _context(self, name: str, minus: tuple[str, ...], shares: Mapping[str, float]) -> SongContext:
        """Return the input of a branch: the mixture minus some sources, as far as the branches so far estimate them.

        Branches come one after the other, so the whole song is estimated unless a deadline leaves no time for more.
        """
        mixture = residual_mixture(StemBlender(minus, self.mixture, self._buffers)) if minus else self.mixture
        return self.make_context(name, mixture, shares, [blended.buffer for blended in self._buffers])
