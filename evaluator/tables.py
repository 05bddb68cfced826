"""Plain text tables with aligned columns."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from evaluator.bsseval import RATIOS
from evaluator.fitting import options_in_words
from evaluator.scores import Document, summary_name
from evaluator.scoring import FRAMEWISE_METRICS
from terminal.names import shown


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, n_left: int = 1) -> str:
    """Return a table without final newline; the first ``n_left`` columns are left-aligned, the others right-aligned."""
    everything = [[shown(cell) for cell in row] for row in (header, *rows)]
    widths = [max(_width(row[index]) for row in everything) for index in range(len(header))]
    lines = [_line(row, widths, n_left).rstrip() for row in everything]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([lines[0], rule, *lines[1:]])


def decibels(value: float | None, *, sign: bool = False, digits: int = 3) -> str:
    """Return a number for a table; a dash for None or a number that is not finite."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}f}"


def score_tables(document: Document) -> str:
    """Return one table per metric of a scores file, under its definition."""
    tables = [_metric_table(document, metric) for metric in document["metrics"]]
    words = options_in_words(document.get("options"))
    changed = document.get("notes", {})
    notes = [f"scored with {words}; stems of {len(changed)} songs were converted or summed"] if words else []
    return "\n\n".join([*tables, *notes])


def _metric_table(document: Document, metric: str) -> str:
    block, summary = document["metrics"][metric], summary_name(metric)
    rows = {**block["songs"], f"{summary} of {len(block['songs'])}": block[summary]}
    title = f"{metric} [dB] — {document['definitions'][metric]}"
    sources = document["sources"]
    if metric not in FRAMEWISE_METRICS:
        columns = [*sources, "song"]
        cells = [[name, *(decibels(row.get(key)) for key in columns)] for name, row in rows.items()]
        return f"{title}\n{text_table(['song', *columns[:-1], 'mean'], cells)}"
    ratios = RATIOS[:1] if metric == "bsseval-sdr" else RATIOS
    cells = [
        [name if source == sources[0] else "", source, *(decibels(row.get(source, {}).get(r)) for r in ratios)]
        for name, row in rows.items()
        for source in sources
    ]
    return f"{title}\n{text_table(['song', 'source', *ratios], cells, n_left=2)}"


def _line(cells: Sequence[str], widths: Sequence[int], n_left: int) -> str:
    padding = [" " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(
        cell + space if index < n_left else space + cell
        for index, (cell, space) in enumerate(zip(cells, padding, strict=True))
    )


def _width(text: str) -> int:
    """Return the terminal columns of a text: two for wide characters, none for combining marks."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
