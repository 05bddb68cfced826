"""Runs as the scores page names them: apart from each other, with date, data set, songs and differing settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath

from evaluator.run_names import RunFacts, differences, differing_parts
from evaluator.scores import Document
from my_submission.webapp.views.scores_files import ScoresFiles
from terminal import quantities
from terminal.names import shown

UNKNOWN = "—"


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: told apart from all other runs, as short as possible: the system, and what differs.
        made: date, or a dash.
        dataset: name of the data set.
        n_songs: number of scored songs.
        settings: settings that are not the default, in words.
        document: the scores file, with ``name`` as its system.
    """

    name: str
    made: str
    dataset: str
    n_songs: int
    settings: str
    document: Document

    @property
    def label(self) -> str:
        """Name, date, data set and number of songs in one line."""
        return f"{self.name} · {self.made} · {self.dataset} · {quantities.songs(self.n_songs)}"


def runs_of(found: ScoresFiles) -> dict[str, Run]:
    """Return the runs of scores files, by the name of the file."""
    facts = _facts(found)
    told = differences(list(facts.values()))
    runs = {}
    for (file, fact), told_apart in zip(facts.items(), told, strict=True):
        name = f"{fact.system} ({', '.join(told_apart)})" if told_apart else fact.system
        document, origin = found.documents[file], found.origins[file]
        runs[file] = Run(
            name=name,
            made=UNKNOWN if origin.made is None else day(origin.made),
            dataset=shown(document["dataset"]),
            n_songs=_n_songs(document),
            settings=", ".join(origin.settings.values()),
            document={**document, "system": name},
        )
    return runs


def day(time: datetime) -> str:
    """Return a date as "23 Nov 2026"."""
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{time.day} {months[time.month - 1]} {time.year}"


def _facts(found: ScoresFiles) -> Mapping[str, RunFacts]:
    """Return what may differ between runs of one system, most informative first."""
    names = {file: shown(str(document.get("system") or "local run")) for file, document in found.documents.items()}
    settings = sorted({name for origin in found.origins.values() for name in origin.settings})
    facts = {}
    for file, document in found.documents.items():
        origin = found.origins[file]
        same = [PurePath(other) for other, name in names.items() if name == names[file]]
        parts: Iterable[str] = (
            document["dataset"],
            quantities.songs(_n_songs(document)),
            *(origin.settings.get(name, "") for name in settings),
            "" if origin.made is None else day(origin.made),
            f"weights {origin.weights}" if origin.weights else "",
            "" if origin.made is None else f"{origin.made:%H:%M}",
            differing_parts([PurePath(file), *same])[0],
        )
        facts[file] = RunFacts(names[file], tuple(map(shown, parts)))
    return facts


def _n_songs(document: Document) -> int:
    return max(len(block["songs"]) for block in document["metrics"].values())
