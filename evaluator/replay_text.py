"""Replay for a terminal: the board with the run in its place, differences, and two runs compared."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from evaluator.boards import Entry
from evaluator.bootstrap import PairedDifference
from evaluator.replay import Placement
from evaluator.tables import decibels, text_table

LOCAL_MARK = "▶"


def board_text(group: Sequence[Placement], entry: Entry, *, tolerance_db: float) -> str:
    """One board with every run on it: banners, table, and the runs' differences to one entry."""
    board, metric = group[0].board, group[0].run.metric
    banners = [textwrap.fill(f"! {p.banner}", 110, subsequent_indent="  ") for p in group]
    differences = [_difference_text(placement, entry, tolerance_db=tolerance_db) for placement in group]
    return "\n".join(
        [
            f"{board.name} — {board.dataset}, {metric} [dB]",
            *dict.fromkeys(banners),
            "",
            _board_table(group),
            "",
            *differences,
            f"  {entry.name} was read in: {entry.provenance}",
        ]
    )


def published(entry: Entry, key: str) -> str:
    """An entry's number with the decimals it was published with; ``≈`` before an overall value that is our mean."""
    text = decibels(entry.value(key), digits=entry.decimals)
    return f"≈{text}" if key == "song" and entry.overall is not None and not entry.is_overall_published else text


def comparison_text(name: str, other: str, metric: str, differences: dict[str, PairedDifference]) -> str:
    """Two runs song by song: difference and confidence interval per source."""
    any_one = next(iter(differences.values()))
    rows = [
        [
            key,
            str(found.n_songs),
            decibels(found.difference, sign=True),
            f"{decibels(found.low, sign=True)} … {decibels(found.high, sign=True)}",
            "clear" if found.is_clear else "not clear",
        ]
        for key, found in differences.items()
    ]
    head = f"{other} minus {name}, {metric} [dB], paired bootstrap over songs"
    return f"{head}\n{text_table(['source', 'songs', 'difference', f'{any_one.confidence:.0%} interval', ''], rows)}"


def _board_table(group: Sequence[Placement]) -> str:
    board = group[0].board
    keys = (*board.sources, "song")
    rows = [
        (entry.overall, [str(rank), _name(entry), *(published(entry, key) for key in keys)])
        for rank, entry in enumerate(board.entries, start=1)
    ]
    rows += [
        (p.run.overall, [_rank(p), f"{LOCAL_MARK} {p.run.name}", *(decibels(p.run.value(key)) for key in keys)])
        for p in group
    ]
    rows.sort(key=lambda row: float("-inf") if row[0] is None else row[0], reverse=True)
    return text_table(["rank", "entry", *board.sources, "overall"], [cells for _, cells in rows], n_left=2)


def _difference_text(placement: Placement, entry: Entry, *, tolerance_db: float) -> str:
    differences = placement.differences(entry)
    listed = "  ".join(
        f"{'overall' if key == 'song' else key} {decibels(value, sign=True)}" for key, value in differences.items()
    )
    verdict = "within" if placement.agreement(entry, tolerance_db=tolerance_db) else "outside"
    return (
        f"{placement.run.name} minus {entry.name}: {listed}  ({verdict} {tolerance_db:g} dB and the entry's rounding)"
    )


def _rank(placement: Placement) -> str:
    if placement.rank is None:
        return "–"
    return str(placement.rank) if placement.is_comparable else f"({placement.rank})"


def _name(entry: Entry) -> str:
    return entry.name if entry.confidence == 1 else f"{entry.name} ?"
