"""A replay as HTML for notebooks: the conclusion, and tables without scripts or styles of a page."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from evaluator.bootstrap import PairedDifference
from evaluator.replay_text import board_head, board_rows, comparison_rows
from evaluator.verdict import Group, caution, conclusion, data_in_words, main_group, places, silent_references
from terminal.names import as_html

_LEFT, _RIGHT = ' style="text-align:left"', ' style="text-align:right"'


def replay_html(
    groups: Sequence[Group],
    comparisons: Mapping[tuple[str, str, str], Mapping[str, PairedDifference]],
    *,
    in_full: Collection[str],
) -> str:
    """Return a replay as HTML: the place of every run, one caution, the boards, and runs compared.

    Args:
        groups: per board, every run on it.
        comparisons: (first run, second run, metric) to source to difference.
        in_full: names of the boards that are shown with all entries.
    """
    main = main_group(groups)
    remarks = dict.fromkeys(filter(None, (silent_references(placement.run) for placement in main)))
    sentences = [*(conclusion(placement) for placement in main), *remarks, caution(groups)]
    overview = ([group[0].board.name, data_in_words(group[0]), places(group)] for group in groups)
    parts = [
        *(f"<p>{as_html(sentence)}</p>" for sentence in sentences),
        _table(["board", "data", "place"], overview, 3),
    ]
    parts += [_board(group) for group in groups if group[0].board.name in in_full]
    parts += [_comparison(*key, found) for key, found in comparisons.items()]
    return "".join(parts)


def _board(group: Group) -> str:
    board, metric = group[0].board, group[0].run.metric
    rows = ([cell.strip() for cell in row] for row in board_rows(group))
    head = f"<p><strong>{as_html(board.name)}</strong>: {as_html(board.dataset)}, {as_html(metric)}, dB</p>"
    return head + _table(board_head(board), rows, 2)


def _comparison(name: str, other: str, metric: str, differences: Mapping[str, PairedDifference]) -> str:
    head = f"<p><strong>{as_html(other)}</strong> minus {as_html(name)}, {as_html(metric)}, dB</p>"
    return head + _table(["source", "songs", "difference", "interval", ""], comparison_rows(differences), 1)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], n_left: int) -> str:
    """Return a table whose first ``n_left`` columns are aligned to the left."""
    lines = [(head, "th"), *((row, "td") for row in rows)]
    cells = (
        "".join(
            f"<{tag}{_LEFT if index < n_left else _RIGHT}>{as_html(cell)}</{tag}>" for index, cell in enumerate(line)
        )
        for line, tag in lines
    )
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in cells)}</table>"
