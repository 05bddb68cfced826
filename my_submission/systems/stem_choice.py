"""A system for some stems only, without the work that they do not need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from my_submission.errors import UnknownNameError
from my_submission.stems import COMPLEMENTS, canonical_source, needed_source, with_complement
from my_submission.systems.recipes import BranchRecipe, SystemRecipe
from terminal.quantities import either


def possible_stems(system: SystemRecipe) -> tuple[str, ...]:
    """Return all names of stems that a system can write: its sources, and the mixture without one of them."""
    without = [name for name, source in COMPLEMENTS.items() if source in system.sources]
    without += [name for source in system.sources if (name := with_complement(source)[1]) not in without]
    return (*system.sources, *without)


def for_stems(system: SystemRecipe, stems: Sequence[str]) -> SystemRecipe:
    """Return a system that writes some stems and does only the work that they need.

    The stems have the same samples as those of the whole system. A source that is not chosen is estimated where a
    chosen one depends on it: by a Mixer, by the Wiener filter, or because a branch runs on the mixture minus it.

    Args:
        system: the whole system.
        stems: names as :func:`possible_stems` lists them, in any order; aliases such as "vocal" are accepted.

    Raises:
        UnknownNameError: the system has no such stem, or none is chosen.
    """
    chosen = tuple(dict.fromkeys(_checked(system, stem) for stem in stems))
    if not chosen:
        raise UnknownNameError("no stem was chosen", hint=f"use some of {', '.join(possible_stems(system))}")
    wanted = {needed_source(stem) for stem in chosen}
    if chosen == system.stems:
        return system
    needs_rest = system.rest in wanted
    needed = _needed(system, system.estimated if needs_rest else wanted)
    return replace(
        system,
        sources=tuple(
            source for source in system.sources if source in needed or (needs_rest and source == system.rest)
        ),
        chosen_stems=chosen,
        branches=tuple(_reduced(branch, needed) for branch in system.branches if _estimates(branch, needed)),
        wiener=system.wiener if _is_filtered(system, needed) else None,
        mixer=system.mixer if _is_mixed(system, needed) else None,
        rest=system.rest if needs_rest else None,
        omitted=(*system.omitted, *(source for source in system.sources if source not in {*needed, *wanted})),
    )


def _checked(system: SystemRecipe, stem: str) -> str:
    possible = possible_stems(system)
    name = canonical_source(stem)
    if name not in possible:
        near = get_close_matches(name, possible, n=3)
        hint = f"use {either(near or possible)}"
        raise UnknownNameError(f"{system.name} has no stem {stem!r}", hint=hint)
    return name


def _needed(system: SystemRecipe, wanted: Iterable[str]) -> set[str]:
    """Return the sources to estimate so that the wanted ones have the same samples as in the whole system."""
    needed = set(wanted)
    while True:
        before = set(needed)
        if system.wiener is not None and _is_filtered(system, needed):
            needed |= {*system.wiener.shares, *system.wiener.minus}
        if system.mixer is not None and _is_mixed(system, needed):
            needed |= set(system.mixer.sources)
        for branch in system.branches:
            if _estimates(branch, needed):
                needed |= set(branch.minus)
        needed &= set(system.estimated)
        if needed == before:
            return needed


def _estimates(branch: BranchRecipe, sources: set[str]) -> bool:
    """Whether a branch has a share of one of the sources."""
    return any(branch.shares.get(source, 0.0) > 0 for source in sources)


def _is_filtered(system: SystemRecipe, sources: set[str]) -> bool:
    """Whether the Wiener filter changes one of the sources."""
    return system.wiener is not None and any(system.wiener.shares.get(source, 0.0) > 0 for source in sources)


def _is_mixed(system: SystemRecipe, sources: set[str]) -> bool:
    """Whether the Mixer over the blend changes one of the sources."""
    return system.mixer is not None and bool(sources & set(system.mixer.sources))


def _reduced(branch: BranchRecipe, needed: set[str]) -> BranchRecipe:
    kept = tuple(source for source in branch.recipe.sources if source in needed)
    shares = {source: share for source, share in branch.shares.items() if source in needed}
    return replace(branch, recipe=branch.recipe.with_sources(kept), shares=shares)
