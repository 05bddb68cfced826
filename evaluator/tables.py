"""Plain text tables with aligned columns."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Sequence

from evaluator.bsseval import RATIOS
from evaluator.fitting import options_in_words
from evaluator.scores import Document, summary_name
from evaluator.scoring import FRAMEWISE_METRICS
from terminal.names import shown

FIGURE_SPACE = "\u2007"
"""A space as wide as a digit."""


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, n_left: int = 1, max_width: int | None = None
) -> str:
    """Return a table without final newline; the first ``n_left`` columns are left-aligned, the others right-aligned.

    Args:
        max_width: columns of the terminal. Names too long for it have a line of their own, above their numbers.
    """
    everything = [[shown(cell) for cell in row] for row in (header, *rows)]
    widths = [max(_width(row[index]) for row in everything) for index in range(len(header))]
    gap = 2
    if max_width is not None and sum(widths) + gap * (len(widths) - 1) > max_width:
        gap = 1
        room = max_width - sum(widths[: n_left - 1] + widths[n_left:]) - gap * (len(widths) - 1)
        widths[n_left - 1] = min(widths[n_left - 1], max(_width(everything[0][n_left - 1]), room))
    lines = [line for row in everything for line in _lines(row, widths, n_left, gap)]
    rule = "-" * (sum(widths) + gap * (len(widths) - 1))
    n_head = len(_lines(everything[0], widths, n_left, gap))
    return "\n".join([*lines[:n_head], rule, *lines[n_head:]])


def decibels(value: float | None, *, sign: bool = False, digits: int = 3) -> str:
    """Return a number for a table; a dash for None or a number that is not finite."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}f}"


def aligned(values: Sequence[float | None], *, digits: Sequence[int], sign: bool = False) -> list[str]:
    """Return numbers as strings whose decimal points are aligned in a right-aligned column.

    Args:
        digits: decimals of each; fewer than the most are followed by spaces of a digit's width.
    """
    most = max(digits, default=0)
    texts = []
    for value, places in zip(values, digits, strict=True):
        text = decibels(value, sign=sign, digits=places)
        padding = most - places + (1 if places == 0 < most else 0)
        texts.append(text + FIGURE_SPACE * (0 if text == "–" else padding))
    return texts


def score_tables(document: Document, *, max_width: int | None = None) -> str:
    """Return one table per metric of a scores file, under its definition.

    Args:
        max_width: columns of the terminal; by default lines are as long as they are.
    """
    tables = [_metric_table(document, metric, max_width) for metric in document["metrics"]]
    words = options_in_words(document.get("options"))
    changed = document.get("notes", {})
    notes = [f"scored with {words}; stems of {len(changed)} songs were converted or summed"] if words else []
    return "\n\n".join([*tables, *(wrapped(note, max_width) for note in notes)])


def wrapped(text: str, max_width: int | None, *, indent: str = "") -> str:
    """Return the text in lines of at most ``max_width`` columns, all but the first indented."""
    if max_width is None:
        return text
    return textwrap.fill(text, max_width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _metric_table(document: Document, metric: str, max_width: int | None) -> str:
    block, summary = document["metrics"][metric], summary_name(metric)
    rows = {**block["songs"], f"{summary} of {len(block['songs'])}": block[summary]}
    title = wrapped(f"{metric} [dB] — {document['definitions'][metric]}", max_width, indent="  ")
    sources = document["sources"]
    if metric not in FRAMEWISE_METRICS:
        columns = [*sources, "song"]
        cells = [[name, *(decibels(row.get(key)) for key in columns)] for name, row in rows.items()]
        return f"{title}\n{text_table(['song', *columns[:-1], 'mean'], cells, max_width=max_width)}"
    ratios = RATIOS[:1] if metric == "bsseval-sdr" else RATIOS
    if max_width is None:
        cells = [
            [name if source == sources[0] else "", source, *(decibels(row.get(source, {}).get(r)) for r in ratios)]
            for name, row in rows.items()
            for source in sources
        ]
        return f"{title}\n{text_table(['song', 'source', *ratios], cells, n_left=2)}"
    cells = []
    for name, row in rows.items():
        cells.append([name, *[""] * len(ratios)])
        cells += [[f"  {source}", *(decibels(row.get(source, {}).get(r)) for r in ratios)] for source in sources]
    return f"{title}\n{text_table(['song and source', *ratios], cells, max_width=max_width)}"


def _lines(cells: Sequence[str], widths: Sequence[int], n_left: int, gap: int) -> list[str]:
    """Return the line of a row, or two if its name is wider than its column."""
    if _width(cells[n_left - 1]) <= widths[n_left - 1]:
        return [_line(cells, widths, n_left, gap).rstrip()]
    name = _line([*cells[: n_left - 1], ""], widths[:n_left], n_left, gap) if n_left > 1 else ""
    head = f"{name[: sum(widths[: n_left - 1]) + gap * (n_left - 1)]}{cells[n_left - 1]}"
    return [head, _line([*[""] * n_left, *cells[n_left:]], widths, n_left, gap).rstrip()]


def _line(cells: Sequence[str], widths: Sequence[int], n_left: int, gap: int) -> str:
    padding = [" " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    return (gap * " ").join(
        cell + space if index < n_left else space + cell
        for index, (cell, space) in enumerate(zip(cells, padding, strict=True))
    )


def _width(text: str) -> int:
    """Return the terminal columns of a text: two for wide characters, none for combining marks."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
