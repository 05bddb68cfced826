"""Replay as text for a terminal: boards with the local runs, differences, and comparisons of runs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from evaluator.boards import Entry, sort_key
from evaluator.bootstrap import PairedDifference
from evaluator.replay import Placement
from evaluator.tables import decibels, text_table

LOCAL_MARK = "▶"


def board_text(group: Sequence[Placement], entry: Entry, *, tolerance_db: float) -> str:
    """Return one board with every run on it: banners, table, and the runs' differences to one entry."""
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
            f"  source of {entry.name}: {entry.provenance}",
        ]
    )


def published(entry: Entry, key: str) -> str:
    """Return an entry's value with its published decimals; ``≈`` marks an overall value that is our mean."""
    text = decibels(entry.value(key), digits=entry.decimals)
    return f"≈{text}" if key == "song" and entry.overall is not None and not entry.is_overall_published else text


def comparison_text(name: str, other: str, metric: str, differences: dict[str, PairedDifference]) -> str:
    """Return the comparison of two runs: difference and confidence interval per source."""
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
        (p.run.overall, [p.shown_rank, f"{LOCAL_MARK} {p.run.name}", *(decibels(p.run.value(key)) for key in keys)])
        for p in group
    ]
    rows.sort(key=lambda row: sort_key(row[0]), reverse=True)
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


def _name(entry: Entry) -> str:
    return entry.name if entry.confidence == 1 else f"{entry.name} ?"
