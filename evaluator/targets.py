"""Targets that overlap: accompaniment and instrumental, two names for everything but the vocals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

VOCALS = "vocals"

ACCOMPANIMENT_NAMES = ("accompaniment", "instrumental")
"""Names of the sum of all sources but the vocals; the first is musdb's."""


@dataclass(frozen=True)
class Scenario:
    """Sources that are judged together by a framewise metric.

    Attributes:
        sources: what the projections are made of; no two of them share a part.
        reported: those of them whose numbers are kept.
    """

    sources: tuple[str, ...]
    reported: tuple[str, ...]


def scenarios(sources: Sequence[str]) -> list[Scenario]:
    """Sources in groups that do not overlap, as museval judges them.

    Vocals and accompaniment are a scenario of their own, and the vocals' numbers are those of that scenario; the
    other sources are judged together with the vocals. Source: ``museval.eval_mus_track``.
    """
    wholes = [source for source in sources if source in ACCOMPANIMENT_NAMES]
    others = tuple(source for source in sources if source not in wholes)
    if not wholes:
        return [Scenario(others, others)]
    partner = (VOCALS,) if VOCALS in others else ()
    rest = tuple(source for source in others if source != VOCALS)
    found = [Scenario(others, rest)] if rest else []
    for index, whole in enumerate(wholes):
        found.append(Scenario((*partner, whole), (*(partner if index == 0 else ()), whole)))
    return found


def averaged_sources(sources: Sequence[str]) -> tuple[str, ...]:
    """The sources that a song's mean is taken over: none of them twice, alone and as a part of the accompaniment."""
    wholes = [source for source in sources if source in ACCOMPANIMENT_NAMES]
    others = tuple(source for source in sources if source not in wholes)
    if not wholes or set(others) - {VOCALS}:
        return others
    return (*others, wholes[0])
