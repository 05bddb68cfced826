"""The ``replay`` command: reads scores files, ranks them on boards and compares them with each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from evaluator.boards import Board, Entry, find_board
from evaluator.bootstrap import PairedDifference, paired_bootstrap, refuse_long_bootstrap
from evaluator.errors import ScoresError
from evaluator.fitting import options_in_words
from evaluator.notebook_view import replay_html
from evaluator.replay import LocalRun, Placement, local_run, matching_boards, nearest_entry, place_run
from evaluator.replay_text import board_text, comparison_text, conclusion_text
from evaluator.run_names import RunFacts, differing_parts, distinct_names
from evaluator.scores import Document, read_scores, summary_name
from evaluator.tables import wrapped
from evaluator.verdict import main_group
from terminal import quantities
from terminal.names import shown


@dataclass(frozen=True)
class Replay:
    """The result of a replay.

    Attributes:
        placements: per board, every run on it and the entry to compare with.
        comparisons: (first run, second run, metric) to source to difference.
        notes: comparisons that were not possible, with the reason.
        in_full: names of the boards that the text shows with all entries.
    """

    placements: list[tuple[list[Placement], Entry]]
    comparisons: dict[tuple[str, str, str], dict[str, PairedDifference]]
    notes: list[str]
    in_full: Collection[str] = ()

    def _repr_html_(self) -> str:
        """Return the result as HTML for a notebook: the conclusion and tables."""
        return replay_html([group for group, _ in self.placements], self.comparisons, in_full=self.in_full)

    def text(self, *, tolerance_db: float, max_width: int | None = None) -> str:
        """Return the result as text for a terminal: the conclusion, the boards in full, and runs compared.

        Args:
            max_width: columns of the terminal; by default tables are as wide as they are.
        """
        parts = [conclusion_text([group for group, _ in self.placements], max_width=max_width)]
        parts += [
            board_text(group, entry, tolerance_db=tolerance_db, max_width=max_width)
            for group, entry in self.placements
            if group[0].board.name in self.in_full
        ]
        parts += [comparison_text(*key, found, max_width=max_width) for key, found in self.comparisons.items()]
        folded = [group[0].board.name for group, _ in self.placements if group[0].board.name not in self.in_full]
        more = [f"More boards in full: python -m evaluator replay … --board {' '.join(folded)}"] if folded else []
        return "\n\n".join([*parts, *(wrapped(text, max_width, indent="  ") for text in (*self.notes, *more))])


def replay(
    paths: Sequence[Path],
    *,
    boards: Sequence[str] = (),
    entry: str | None = None,
    rng: np.random.Generator,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
) -> Replay:
    """Rank scores files on boards and compare them with each other.

    Args:
        paths: scores files; several are also compared pairwise, song by song.
        boards: names of boards; by default all with the same metric and sources.
        entry: the entry to compare with; by default, and on boards without it, the one nearest to the first run.

    Raises:
        ScoresError: a file is not a scores file, or there is no such board or entry.
    """
    documents = _with_distinct_names([read_scores(path) for path in paths], paths)
    refuse_long_bootstrap(_songs_of_intervals(documents), n_resamples)
    groups: list[tuple[list[Placement], Entry]] = []
    for board in _chosen_boards(documents, boards):
        group = [place_run(document, board) for document in documents]
        asked = next((e for e in board.entries if e.name == entry), None)
        groups.append((group, asked or nearest_entry(group[0])))
    if entry is not None and not any(named.name == entry for _, named in groups):
        listed = ", ".join(dict.fromkeys(e.name for group, _ in groups for e in group[0].board.entries))
        boards_asked = ", ".join(group[0].board.name for group, _ in groups)
        raise ScoresError(f"no entry {entry!r} on {boards_asked}", hint=f"choose from {listed}")
    comparisons: dict[tuple[str, str, str], dict[str, PairedDifference]] = {}
    notes: list[str] = []
    for first, second in combinations(documents, 2):
        for metric in [name for name in first["metrics"] if name in second["metrics"]]:
            runs = local_run(first, metric), local_run(second, metric)
            try:
                found = _compare(*runs, rng=rng, n_resamples=n_resamples, confidence=confidence)
            except ScoresError as error:
                notes.append(f"{runs[1].name} against {runs[0].name}, {metric}: {error}")
            else:
                comparisons[runs[0].name, runs[1].name, metric] = found
                notes += _option_notes(*runs)
    groups_only = [group for group, _ in groups]
    in_full = [group[0].board.name for group in (groups_only if boards else [main_group(groups_only)])]
    return Replay(groups, comparisons, notes, tuple(in_full))


def _songs_of_intervals(documents: Sequence[Document]) -> list[int]:
    """Return the number of songs of each interval; there is one per pair of runs, shared metric and shared source."""
    counts = []
    for first, second in combinations(documents, 2):
        for metric in first["metrics"].keys() & second["metrics"].keys():
            blocks = [run["metrics"][metric] for run in (first, second)]
            n_intervals = min(len(block[summary_name(metric)].keys() - {"song"}) for block in blocks) + 1
            counts += [min(len(block["songs"]) for block in blocks)] * n_intervals
    return counts


def _option_notes(first: LocalRun, second: LocalRun) -> list[str]:
    """Return a sentence if two runs were scored with different options."""
    if first.options == second.options:
        return []
    words = [run.options or "estimates as they are" for run in (second, first)]
    return [f"{second.name} against {first.name}, {first.metric}: scored with {words[0]} against {words[1]}"]


def _compare(
    first: LocalRun, second: LocalRun, *, rng: np.random.Generator, n_resamples: int, confidence: float
) -> dict[str, PairedDifference]:
    return {
        key: paired_bootstrap(
            first.per_song[key],
            second.per_song[key],
            statistic=summary_name(first.metric),
            rng=rng,
            n_resamples=n_resamples,
            confidence=confidence,
        )
        for key in first.per_song
        if key in second.per_song
    }


def _chosen_boards(documents: Sequence[Document], names: Sequence[str]) -> list[Board]:
    if names:
        return [find_board(name) for name in names]
    fitting = [{board.name for board, _ in matching_boards(document)} for document in documents]
    common = set.intersection(*fitting)
    found = [board for board, _ in matching_boards(documents[0]) if board.name in common]
    if not found:
        hint = "score all of bass, drums, other, vocals (or dialog, effect, music) with --metric mdx or bsseval"
        raise ScoresError("no board has the same metric and sources", hint=hint)
    return found


def _with_distinct_names(documents: Sequence[Document], paths: Sequence[Path]) -> list[Document]:
    """Add what differs to the system name where several runs have the same system name."""
    names = [shown(str(document.get("system") or path.stem)) for document, path in zip(documents, paths, strict=True)]
    facts = []
    for document, path, name in zip(documents, paths, names, strict=True):
        same = [other for other, other_name in zip(paths, names, strict=True) if other_name == name]
        n_songs = max(len(block["songs"]) for block in document["metrics"].values())
        data = (document["dataset"], quantities.songs(n_songs), options_in_words(document.get("options")))
        facts.append(RunFacts(name, tuple(map(shown, (*data, differing_parts([path, *same])[0])))))
    return [{**document, "system": name} for document, name in zip(documents, distinct_names(facts), strict=True)]
