"""A replay as HTML for notebooks: the conclusion, and tables without scripts or styles of a page."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from evaluator.boards import Entry, sort_key
from evaluator.bootstrap import PairedDifference
from evaluator.replay import Placement
from evaluator.replay_text import LOCAL_MARK, MOST_DIGITS, aligned_column
from evaluator.tables import decibels
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
    shown: list[Entry | Placement] = [*board.entries, *group]
    shown.sort(key=lambda one: sort_key(one.run.overall if isinstance(one, Placement) else one.overall), reverse=True)
    columns = [aligned_column(shown, key, MOST_DIGITS) for key in (*board.sources, "song")]
    rows = (
        [
            one.shown_rank if isinstance(one, Placement) else str(board.entries.index(one) + 1),
            f"{LOCAL_MARK} {one.run.name}" if isinstance(one, Placement) else one.name,
            *(column[index].strip() for column in columns),
        ]
        for index, one in enumerate(shown)
    )
    head = f"<p><strong>{as_html(board.name)}</strong>: {as_html(board.dataset)}, {as_html(metric)}, dB</p>"
    return head + _table(["rank", "entry", *board.sources, "overall"], rows, 2)


def _comparison(name: str, other: str, metric: str, differences: Mapping[str, PairedDifference]) -> str:
    rows = (
        [
            "overall" if key == "song" else key,
            str(found.n_songs),
            decibels(found.difference, sign=True),
            f"{decibels(found.low, sign=True)} … {decibels(found.high, sign=True)}",
            "clear" if found.is_clear else "not clear",
        ]
        for key, found in differences.items()
    )
    head = f"<p><strong>{as_html(other)}</strong> minus {as_html(name)}, {as_html(metric)}, dB</p>"
    return head + _table(["source", "songs", "difference", "interval", ""], rows, 1)


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
