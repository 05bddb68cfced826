"""A system for some of its sources only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from my_submission.systems.recipes import BranchRecipe, SystemRecipe


def only(system: SystemRecipe, sources: Sequence[str]) -> SystemRecipe:
    """Return a system that estimates some of its sources, at a cost in proportion.

    Branches of other sources are left out, except where a chosen source is estimated from the mixture minus theirs.
    The Wiener filter stays only if all sources that it filters are chosen.

    Raises:
        ValueError: a source is not the system's, is the rest of all others, or a branch estimates all in one run.
    """
    chosen = tuple(sources)
    if not chosen or not set(chosen) <= set(system.estimated):
        raise ValueError(f"sources={chosen} must be among {system.estimated}")
    needed = _needed(system.branches, chosen)
    branches = [_reduced(system, branch, needed) for branch in system.branches if needed & set(branch.shares)]
    has_filter = system.wiener is not None and set(system.wiener.shares) <= set(chosen)
    wiener = system.wiener if has_filter else None
    return replace(system, sources=chosen, branches=tuple(branches), wiener=wiener, rest=None)


def _needed(branches: Sequence[BranchRecipe], chosen: Iterable[str]) -> set[str]:
    """The chosen sources, and those that are taken out of the mixture before they are estimated."""
    needed = set(chosen)
    for branch in reversed(branches):
        if needed & set(branch.shares):
            needed |= set(branch.minus)
    return needed


def _reduced(system: SystemRecipe, branch: BranchRecipe, needed: set[str]) -> BranchRecipe:
    wanted = tuple(source for source in branch.recipe.sources if source in needed)
    if wanted == branch.recipe.sources:
        return branch
    try:
        recipe = branch.recipe.with_sources(wanted)
    except ValueError as error:
        raise ValueError(f"the branch {branch.name!r} of {system.name!r} cannot be reduced: {error}") from error
    return replace(branch, recipe=recipe, shares={source: branch.shares[source] for source in wanted})
