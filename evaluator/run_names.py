"""Names of runs that can be told apart: the system, and what differs between runs of the same system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run.

    Attributes:
        system: name of its system.
        facts: what may differ from another run of this system, as words, most telling first; the same number of facts
            for every run, "" for one that is not known.
    """

    system: str
    facts: tuple[str, ...]


def names_apart(runs: Sequence[RunFacts]) -> list[str]:
    """Return a name per run: the system alone if no other run has it, else with as many differing facts as needed.

    Runs without any differing fact are numbered.
    """
    names = []
    for run in runs:
        same = [other for other in runs if other.system == run.system]
        names.append(run.system if len(same) == 1 else _with_differences(run, same))
    counts, seen = Counter(names), Counter[str]()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if counts[name] == 1 else f"{name} ({seen[name]})")
    return unique


def _with_differences(run: RunFacts, same: Sequence[RunFacts]) -> str:
    chosen: list[int] = []
    for index in range(len(run.facts)):
        if len({other.facts[index] for other in same}) == 1:
            continue
        before = {tuple(other.facts[i] for i in chosen) for other in same}
        after = {tuple(other.facts[i] for i in (*chosen, index)) for other in same}
        if len(after) > len(before):
            chosen.append(index)
    told = [run.facts[index] for index in chosen if run.facts[index]]
    return f"{run.system} ({', '.join(told)})" if told else run.system


def differing_parts(paths: Sequence[Path]) -> list[str]:
    """Return the part of every path between the folders that all begin with and the names that all end with."""
    parts = [path.parts for path in paths]
    shortest = min(map(len, parts))
    start = next((i for i in range(shortest) if len({one[i] for one in parts}) > 1), shortest)
    room = shortest - start
    end = next((i for i in range(room) if len({one[-1 - i] for one in parts}) > 1), room)
    return ["/".join(one[start : len(one) - end]) for one in parts]
