"""A system for some of its sources only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from my_submission.systems.recipes import SystemRecipe


def only(system: SystemRecipe, sources: Sequence[str]) -> SystemRecipe:
    """Return a system that estimates some of its sources, at a cost in proportion.

    Raises:
        ValueError: a source is not the system's, or one of its branches estimates all sources in one run.
    """
    chosen = tuple(sources)
    if not chosen or not set(chosen) <= set(system.sources):
        raise ValueError(f"sources={chosen} must be among {system.sources}")
    branches = []
    for branch in system.branches:
        try:
            recipe = branch.recipe.with_sources(chosen)
        except ValueError as error:
            raise ValueError(f"the branch {branch.name!r} of {system.name!r} cannot be reduced: {error}") from error
        branches.append(replace(branch, recipe=recipe, shares={source: branch.shares[source] for source in chosen}))
    return replace(system, sources=chosen, branches=tuple(branches))
