"""Published leaderboards, read from ``boards.csv``: one number per row, with the text it was read from.

``value_db`` keeps the published decimals. ``confidence`` is 1 for a number from a README or paper of its authors and 2
for one from a secondary text. The source ``song`` (or ``avg``) is the published overall value.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from evaluator.datasets import CINEMA_SOURCES, MUSIC_SOURCES
from evaluator.errors import ScoresError

_OVERALL = ("song", "avg")

_METRICS = {"global_sdr": ("mdx",), "museval_median_sdr": ("bsseval", "bsseval-sdr", "museval")}
"""Published metric to our metrics; all three framewise metrics give the same SDR."""

_HIDDEN_DATASETS = frozenset({"MDXDB21", "CDXDB23"})
"""Test sets that only the challenge's organisers have."""

_SONGS_IN_DATASET = {"MUSDB18": 50, "MUSDB18-HQ": 50}
"""Number of test songs per public data set."""


@dataclass(frozen=True)
class Entry:
    """One system on one board.

    Attributes:
        by_source: source to dB; only the published sources.
        overall: the published overall value, else the mean over all sources, else None.
        decimals: number of published decimals.
        provenance: the text from which the numbers were read.
        confidence: 1 or 2, see the module.
    """

    name: str
    by_source: Mapping[str, float]
    overall: float | None
    is_overall_published: bool
    decimals: int
    provenance: str
    confidence: int

    def value(self, key: str) -> float | None:
        """Return the value in dB of a source, or of ``song``."""
        return self.overall if key == "song" else self.by_source.get(key)


@dataclass(frozen=True)
class Board:
    """A leaderboard.

    Attributes:
        name: e.g. ``MDX21-A`` or ``MUSDB18-museval``.
        metrics: our metrics that compute the same quantity.
        entries: best first.
    """

    name: str
    dataset: str
    metrics: tuple[str, ...]
    entries: tuple[Entry, ...]

    @property
    def is_hidden(self) -> bool:
        """Whether the data set is not public, so that nobody else can recompute the numbers."""
        return self.dataset in _HIDDEN_DATASETS

    @property
    def n_songs(self) -> int | None:
        """Number of songs of the data set, or None if unknown."""
        return _SONGS_IN_DATASET.get(self.dataset)

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of the board, including those that no entry has a value for."""
        return _sources(self.name)

    def entry(self, name: str) -> Entry:
        """Return the entry of that name; ScoresError, with the list of entries, if there is none."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        listed = ", ".join(entry.name for entry in self.entries)
        raise ScoresError(f"no entry {name!r} on {self.name}", hint=f"choose from {listed}")


def sort_key(value: float | None) -> float:
    """Return a key that sorts values in dB, with None below all numbers."""
    return float("-inf") if value is None else value


@cache
def all_boards() -> tuple[Board, ...]:
    """Return every board of the package."""
    text = resources.files("evaluator").joinpath("boards.csv").read_text(encoding="utf-8")
    by_board: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(text.splitlines()):
        by_board.setdefault(row["board"], []).append(row)
    return tuple(_board(name, rows) for name, rows in by_board.items())


def find_board(name: str) -> Board:
    """Return the board of that name, case ignored; ScoresError, with the list of boards, if there is none."""
    for board in all_boards():
        if board.name.casefold() == name.casefold():
            return board
    listed = ", ".join(board.name for board in all_boards())
    raise ScoresError(f"no board {name!r}", hint=f"choose from {listed}")


def _board(name: str, rows: list[dict[str, str]]) -> Board:
    by_entry: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_entry.setdefault(row["entry"], []).append(row)
    entries = [_entry(entry, of_entry, _sources(name)) for entry, of_entry in by_entry.items()]
    entries.sort(key=lambda entry: sort_key(entry.overall), reverse=True)
    return Board(name, rows[0]["dataset"], _METRICS[rows[0]["metric"]], tuple(entries))


def _sources(board: str) -> tuple[str, ...]:
    return CINEMA_SOURCES if board.startswith("CDX") else MUSIC_SOURCES


def _entry(name: str, rows: list[dict[str, str]], sources: Iterable[str]) -> Entry:
    values = {row["source"]: float(row["value_db"]) for row in rows}
    by_source = {source: values[source] for source in sources if source in values}
    published = next((values[key] for key in _OVERALL if key in values), None)
    is_complete = set(by_source) == set(sources)
    computed = sum(by_source.values()) / len(by_source) if is_complete else None
    return Entry(
        name=name,
        by_source=by_source,
        overall=computed if published is None else published,
        is_overall_published=published is not None,
        decimals=max(len(row["value_db"].partition(".")[2]) for row in rows),
        provenance="; ".join(dict.fromkeys(row["provenance"] for row in rows)),
        confidence=max(int(row["confidence"]) for row in rows),
    )
