"""Overlapping targets: accompaniment and instrumental, two names for the sum of all sources but the vocals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

VOCALS = "vocals"

ACCOMPANIMENT_NAMES = ("accompaniment", "instrumental")
"""Names of the sum of all sources but the vocals; the first is musdb's."""


@dataclass(frozen=True)
class Scenario:
    """Sources that a framewise metric compares together.

    Attributes:
        sources: sources of the projections; no two of them overlap.
        reported: those whose values are kept.
    """

    sources: tuple[str, ...]
    reported: tuple[str, ...]


def scenarios(sources: Sequence[str]) -> list[Scenario]:
    """Return groups of sources that do not overlap, as in museval.

    Vocals and accompaniment form one scenario, from which the vocals' values are taken. The other sources are compared
    together with the vocals. Source: ``museval.eval_mus_track``.
    """
    accompaniments = [source for source in sources if source in ACCOMPANIMENT_NAMES]
    others = tuple(source for source in sources if source not in accompaniments)
    if not accompaniments:
        return [Scenario(others, others)]
    vocals = (VOCALS,) if VOCALS in others else ()
    rest = tuple(source for source in others if source != VOCALS)
    found = [Scenario(others, rest)] if rest else []
    for index, accompaniment in enumerate(accompaniments):
        found.append(Scenario((*vocals, accompaniment), (*(vocals if index == 0 else ()), accompaniment)))
    return found


def averaged_sources(sources: Sequence[str]) -> tuple[str, ...]:
    """Return the sources of a song's mean, so that no source counts twice, alone and in the accompaniment."""
    accompaniments = [source for source in sources if source in ACCOMPANIMENT_NAMES]
    others = tuple(source for source in sources if source not in accompaniments)
    if not accompaniments or set(others) - {VOCALS}:
        return others
    return (*others, accompaniments[0])
