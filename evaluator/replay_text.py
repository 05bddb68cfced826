"""Replay as text for a terminal: conclusion, places, boards with the local runs, differences, and runs compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaluator.boards import Board, Entry, sort_key
from evaluator.bootstrap import PairedDifference
from evaluator.replay import Placement
from evaluator.tables import aligned, decibels, text_table, wrapped
from evaluator.verdict import Group, caution, conclusion, data_in_words, main_group, places, silent_references
from terminal.names import listed

LOCAL_MARK = "▶"

MOST_DIGITS = 3
"""Decimals of a value in dB; the boards publish two or three."""

_PROSE_WIDTH = 100
"""Line length of sentences if the width of the terminal is unknown."""

_WIDE = 80
"""Columns from which on numbers have their published decimals; below they have two."""


def conclusion_text(groups: Sequence[Group], *, max_width: int | None) -> str:
    """Return the place of every run on the most informative board, its places on all boards, and one caution."""
    width = max_width or _PROSE_WIDTH
    lines = [wrapped(conclusion(placement), width, indent="  ") for placement in main_group(groups)]
    remarks = [silent_references(placement.run) for placement in main_group(groups)]
    lines += [wrapped(text, width, indent="  ") for text in dict.fromkeys(filter(None, remarks))]
    rows = [[group[0].board.name, data_in_words(group[0]), places(group)] for group in groups]
    head = "place" if len(groups[0]) == 1 else "places, as listed above"
    table = text_table(["board", "", head], rows, n_left=3, max_width=max_width)
    return "\n".join([*lines, "", table, "", wrapped(f"! {caution(groups)}", width, indent="  ")])


def board_text(group: Group, entry: Entry, *, tolerance_db: float, max_width: int | None = None) -> str:
    """Return one board with every run on it: table, and the runs' differences to one entry."""
    board, metric = group[0].board, group[0].run.metric
    width = max_width or _PROSE_WIDTH
    return "\n".join(
        [
            f"{board.name} — {board.dataset}, {metric} [dB]",
            _board_table(group, max_width),
            "",
            wrapped(f"Difference to {entry.name} [dB]; its source: {entry.provenance}", width, indent="  "),
            _difference_table(group, entry, max_width),
            wrapped(_agreement(group, entry, tolerance_db), width, indent="  "),
        ]
    )


def published(entry: Entry, key: str) -> str:
    """Return an entry's value with its published decimals; ``≈`` marks an overall value that is our mean."""
    return _mark(entry, key) + decibels(entry.value(key), digits=entry.decimals)


def comparison_text(
    name: str, other: str, metric: str, differences: Mapping[str, PairedDifference], *, max_width: int | None = None
) -> str:
    """Return the comparison of two runs: difference and confidence interval per source."""
    any_one = next(iter(differences.values()))
    rows = comparison_rows(differences, digits=_digits(max_width))
    head = wrapped(f"{other} minus {name}, {metric} [dB], paired bootstrap over songs", max_width, indent="  ")
    header = ["source", "songs", "difference", f"{any_one.confidence:.0%} interval", ""]
    return f"{head}\n{text_table(header, rows, max_width=max_width)}"


def comparison_rows(differences: Mapping[str, PairedDifference], *, digits: int = MOST_DIGITS) -> list[list[str]]:
    """Return source, songs, difference, confidence interval and whether it is clear, per source."""
    return [
        [
            "overall" if key == "song" else key,
            str(found.n_songs),
            decibels(found.difference, sign=True, digits=digits),
            f"{decibels(found.low, sign=True, digits=digits)} … {decibels(found.high, sign=True, digits=digits)}",
            "clear" if found.is_clear else "not clear",
        ]
        for key, found in differences.items()
    ]


def _digits(max_width: int | None) -> int:
    return 2 if max_width is not None and max_width < _WIDE else MOST_DIGITS


def _board_table(group: Sequence[Placement], max_width: int | None) -> str:
    rows = board_rows(group, digits=_digits(max_width))
    return text_table(board_head(group[0].board), rows, n_left=2, max_width=max_width)


def board_head(board: Board) -> list[str]:
    """Return the head of a board's table."""
    return ["rank", "entry", *board.sources, "overall"]


def board_rows(group: Sequence[Placement], *, digits: int = MOST_DIGITS) -> list[list[str]]:
    """Return a board's entries and the runs on it, best first: rank, name, and the values below :func:`board_head`."""
    board = group[0].board
    keys = (*board.sources, "song")
    lines: list[tuple[float | None, str, str, Entry | Placement]] = [
        (entry.overall, str(rank), _name(entry), entry) for rank, entry in enumerate(board.entries, start=1)
    ]
    lines += [(one.run.overall, one.shown_rank, f"{LOCAL_MARK} {one.run.name}", one) for one in group]
    lines.sort(key=lambda line: sort_key(line[0]), reverse=True)
    shown = [line[3] for line in lines]
    columns = [aligned_column(shown, key, digits) for key in keys]
    return [[rank, name, *(column[index] for column in columns)] for index, (_, rank, name, _) in enumerate(lines)]


def aligned_column(shown: Sequence[Entry | Placement], key: str, digits: int) -> list[str]:
    """Return one column of a board, with the decimal points below each other."""
    values = [one.run.value(key) if isinstance(one, Placement) else one.value(key) for one in shown]
    most = max((one.decimals for one in shown if isinstance(one, Entry)), default=MOST_DIGITS)
    places = [min(digits, one.decimals if isinstance(one, Entry) else most) for one in shown]
    marks = ["" if isinstance(one, Placement) else _mark(one, key) for one in shown]
    texts = aligned(values, digits=places)
    return [mark + text for mark, text in zip(marks, texts, strict=True)]


def _mark(entry: Entry, key: str) -> str:
    return "≈" if key == "song" and entry.overall is not None and not entry.is_overall_published else ""


def _difference_table(group: Sequence[Placement], entry: Entry, max_width: int | None) -> str:
    digits = _digits(max_width)
    rows = [
        [placement.run.name, *(decibels(value, sign=True, digits=digits) for value in found.values())]
        for placement in group
        for found in [placement.differences(entry)]
    ]
    return text_table(["run", *group[0].board.sources, "overall"], rows, max_width=max_width)


def _agreement(group: Group, entry: Entry, tolerance_db: float) -> str:
    agreeing = [one.run.name for one in group if one.agreement(entry, tolerance_db=tolerance_db)]
    found = listed(agreeing) if agreeing else "none"
    return f"Equal to {entry.name} within {tolerance_db:g} dB and its rounding: {found}."


def _name(entry: Entry) -> str:
    return entry.name if entry.confidence == 1 else f"{entry.name} ?"
