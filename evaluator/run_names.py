"""Names of runs that can be told apart: the system, and what differs between runs of the same system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class RunFacts:
    """Known facts of a run.

    Attributes:
        system: name of its system.
        facts: what may differ from another run of this system, as words, most informative first; the same number
            for every run, "" for one that is not known.
    """

    system: str
    facts: tuple[str, ...]


def distinct_names(runs: Sequence[RunFacts]) -> list[str]:
    """Return a name per run: the system alone if no other run has it, else with as many differing facts as needed.

    Runs without any differing fact are numbered.
    """
    return [
        f"{run.system} ({', '.join(told)})" if told else run.system
        for run, told in zip(runs, differences(runs), strict=True)
    ]


def differences(runs: Sequence[RunFacts]) -> list[tuple[str, ...]]:
    """Return the facts by which every run differs from the others of its system, as few as needed; or its number."""
    found = []
    for run in runs:
        same = [other for other in runs if other.system == run.system]
        chosen = _distinguishing_facts(same)
        found.append((run.system, tuple(run.facts[index] for index in chosen if run.facts[index])))
    counts, seen = Counter(found), Counter[tuple[str, tuple[str, ...]]]()
    unique = []
    for one in found:
        seen[one] += 1
        unique.append(one[1] if counts[one] == 1 else (*one[1], str(seen[one])))
    return unique


def _distinguishing_facts(same: Sequence[RunFacts]) -> list[int]:
    """Return the facts, by number, that tell runs of one system apart."""
    chosen: list[int] = []
    for index in range(len(same[0].facts)):
        before = {tuple(other.facts[i] for i in chosen) for other in same}
        after = {tuple(other.facts[i] for i in (*chosen, index)) for other in same}
        if len(after) > len(before):
            chosen.append(index)
    return chosen


def differing_parts(paths: Sequence[PurePath]) -> list[str]:
    """Return the part of every path between the folders that all begin with and the names that all end with."""
    parts = [path.parts for path in paths]
    shortest = min(map(len, parts))
    start = next((i for i in range(shortest) if len({one[i] for one in parts}) > 1), shortest)
    room = shortest - start
    end = next((i for i in range(room) if len({one[-1 - i] for one in parts}) > 1), room)
    return ["/".join(one[start : len(one) - end]) for one in parts]
