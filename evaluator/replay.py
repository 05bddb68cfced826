"""Ranks a local run on a published board and tells whether the comparison is valid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from evaluator.boards import Board, Entry, all_boards
from evaluator.errors import ScoresError
from evaluator.fitting import options_in_words
from evaluator.scores import Document, column, summary_name
from evaluator.scoring import FRAMEWISE_METRICS
from evaluator.targets import averaged_sources
from terminal.quantities import either

DEFAULT_TOLERANCE_DB = 0.02
"""Difference that 16-bit files and another back end may cause; a board's own rounding is added."""


@dataclass(frozen=True)
class LocalRun:
    """The values of a scores file under one metric.

    Attributes:
        by_source: source to dB over the data set.
        overall: the mean over sources (of the song means for ``mdx``).
        per_song: source (and ``song``) to song to dB.
        options: conversions allowed for estimates, as words of the command line.
        silent_songs: source to the number of songs in which its reference is silent, if there are any.
    """

    name: str
    dataset: str
    metric: str
    n_songs: int
    by_source: dict[str, float | None]
    overall: float | None
    per_song: dict[str, dict[str, float]]
    options: str = ""
    silent_songs: Mapping[str, int] = field(default_factory=dict)

    def value(self, key: str) -> float | None:
        """Return the value in dB of a source, or of ``song``."""
        return self.overall if key == "song" else self.by_source.get(key)


@dataclass(frozen=True)
class Placement:
    """A run on a board.

    Attributes:
        rank: 1 + the number of entries with a higher overall value; None without an overall value.
        is_comparable: whether the run was scored on the board's own data.
    """

    board: Board
    run: LocalRun
    rank: int | None
    is_comparable: bool

    @property
    def shown_rank(self) -> str:
        """The rank as text, in brackets if the run is not comparable; a dash without an overall value."""
        if self.rank is None:
            return "–"
        return str(self.rank) if self.is_comparable else f"({self.rank})"

    def differences(self, entry: Entry) -> dict[str, float | None]:
        """Return run minus entry in dB, per source and for ``song``; None if either has no value."""
        pairs = {key: (self.run.value(key), entry.value(key)) for key in (*self.board.sources, "song")}
        return {key: None if a is None or b is None else a - b for key, (a, b) in pairs.items()}

    def agreement(self, entry: Entry, *, tolerance_db: float) -> bool:
        """Return whether every published value of the entry agrees within the tolerance plus its rounding."""
        allowed = tolerance_db + (0.01 if entry.decimals <= 2 else 0.001)
        found = [difference for difference in self.differences(entry).values() if difference is not None]
        return bool(found) and all(abs(difference) <= allowed + 1e-9 for difference in found)


def local_run(document: Document, metric: str) -> LocalRun:
    """Return the values of a scores file under one metric; ScoresError if it does not have the metric."""
    if metric not in document["metrics"]:
        listed = ", ".join(document["metrics"])
        raise ScoresError(f"has no {metric}", where=str(document.get("system", "")), hint=f"its metrics are {listed}")
    block = document["metrics"][metric]
    summary = block[summary_name(metric)]
    sources = document.get("sources") or [key for key in summary if key != "song"]
    if metric in FRAMEWISE_METRICS:
        by_source = {source: summary[source]["SDR"] for source in sources}
        averaged = averaged_sources(tuple(sources))
        known = [by_source[source] for source in averaged if by_source[source] is not None]
        overall = sum(known) / len(known) if known and len(known) == len(averaged) else None
    else:
        by_source = {source: summary[source] for source in sources}
        overall = summary["song"]
    return LocalRun(
        name=str(document.get("system") or "local run"),
        dataset=document["dataset"],
        metric=metric,
        n_songs=len(block["songs"]),
        by_source=by_source,
        overall=overall,
        per_song={key: column(document, metric, key) for key in (*sources, "song")},
        options=options_in_words(document.get("options")),
        silent_songs=_silent_songs(document, block["songs"], sources),
    )


def matching_boards(document: Document) -> list[tuple[Board, str]]:
    """Return the boards with a metric and sources of the scores file, each with the metric to use."""
    found = []
    for board in all_boards():
        metric = _shared_metric(document, board)
        if metric is not None and set(board.sources) <= set(local_run(document, metric).by_source):
            found.append((board, metric))
    return found


def place_run(document: Document, board: Board) -> Placement:
    """Rank a run on a board.

    Raises:
        ScoresError: the file has no metric of the board, or other sources.
    """
    metric = _shared_metric(document, board)
    if metric is None:
        raise ScoresError(
            f"{board.name} is a board of {either(board.metrics)}, the scores are {', '.join(document['metrics'])}",
            hint=f"score with --metric {board.metrics[0]}",
        )
    run = local_run(document, metric)
    absent = [source for source in board.sources if source not in run.by_source]
    if absent:
        raise ScoresError(f"{board.name} is about {', '.join(board.sources)}; the scores have no {', '.join(absent)}")
    rank = None
    if run.overall is not None:
        rank = 1 + sum(e.overall is not None and e.overall > run.overall for e in board.entries)
    return Placement(board, run, rank, _is_same_data(run, board))


def nearest_entry(placement: Placement) -> Entry:
    """Return the entry whose overall value is closest to the run's (the board's first if the run has none)."""
    entries: Sequence[Entry] = [entry for entry in placement.board.entries if entry.overall is not None]
    overall = placement.run.overall
    if overall is None:
        return entries[0]
    return min(entries, key=lambda entry: abs((entry.overall or 0.0) - overall))


def _shared_metric(document: Document, board: Board) -> str | None:
    return next((name for name in board.metrics if name in document["metrics"]), None)


def _is_same_data(run: LocalRun, board: Board) -> bool:
    name = run.dataset.casefold().removesuffix("test").strip(" /-_")
    return not board.is_hidden and name == board.dataset.casefold() and run.n_songs == board.n_songs


def _silent_songs(document: Document, songs: Collection[str], sources: Collection[str]) -> dict[str, int]:
    """Return source to the number of its songs with a silent reference; all other notes are ignored."""
    noted = document.get("silent")
    counts: Counter[str] = Counter()
    for song, sides in noted.items() if isinstance(noted, dict) else ():
        references = sides.get("references") if isinstance(sides, dict) else None
        if song in songs and isinstance(references, list):
            counts.update(source for source in sources if source in references)
    return dict(counts)
