"""Replay as one HTML file with sortable tables and inline plots; it loads nothing from other servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template

from evaluator.boards import Entry, sort_key
from evaluator.bootstrap import PairedDifference
from evaluator.distribution import box_of
from evaluator.replay import LocalRun, Placement
from evaluator.replay_text import published
from evaluator.scoring import DEFINITIONS
from evaluator.svg import Bar, bar_plot, box_plot
from evaluator.tables import decibels
from terminal.names import as_html

Comparisons = Mapping[tuple[str, str, str], Mapping[str, PairedDifference]]
"""(first run, second run, metric) to source to difference."""

MAX_SHOWN_SONGS = 2000
"""Songs in the table: a row takes half a kilobyte per run, and browsers sort a few thousand rows."""

Cell = tuple[str, str | float | None]
"""Text and sort key of a table cell."""


def replay_page(placements: Sequence[tuple[Sequence[Placement], Entry]], comparisons: Comparisons) -> str:
    """Return the whole page.

    Args:
        placements: per board, every run on it and the entry to compare with.
    """
    runs = list({(p.run.name, p.run.metric): p.run for group, _ in placements for p in group}.values())
    sections = [_board_section(group, entry) for group, entry in placements]
    sections += [_comparison_section(key, differences) for key, differences in comparisons.items()]
    sections += [_songs_section([run for run in runs if run.metric == metric]) for metric in _in_order(runs)]
    template = Template(resources.files("evaluator").joinpath("page.html").read_text(encoding="utf-8"))
    title = f"Leaderboard replay: {', '.join(dict.fromkeys(run.name for run in runs))}"
    return template.substitute(title=as_html(title), body="\n".join(sections))


def _in_order(runs: Sequence[LocalRun]) -> list[str]:
    return list(dict.fromkeys(run.metric for run in runs))


def _board_section(group: Sequence[Placement], entry: Entry) -> str:
    board, metric = group[0].board, group[0].run.metric
    banners = "".join(f'<p class="banner">{as_html(text)}</p>' for text in dict.fromkeys(p.banner for p in group))
    ranks = "; ".join(f"{p.run.name}: {p.shown_rank} of {len(board.entries) + 1}" for p in group)
    bars = [Bar(e.name, e.overall) for e in board.entries if e.overall is not None]
    bars += [Bar(p.run.name, p.run.overall, is_local=True) for p in group if p.run.overall is not None]
    bars.sort(key=lambda bar: bar.value, reverse=True)
    plot = bar_plot(bars, title=f"Overall values on {board.name}, dB") if bars else ""
    return (
        f"<h2>{as_html(board.name)} — {as_html(board.dataset)}</h2>{banners}"
        f"<p>Rank: {as_html(ranks)}.</p>"
        f'<p class="soft">{as_html(metric)}: {as_html(DEFINITIONS[metric])}. All values in dB.</p>'
        f"{_board_table(group)}{plot}<h3>Difference to {as_html(entry.name)}</h3>{_difference_table(group, entry)}"
        f'<p class="soft">Source of {as_html(entry.name)}: {as_html(entry.provenance)}</p>'
    )


def _board_table(group: Sequence[Placement]) -> str:
    board = group[0].board
    keys = (*board.sources, "song")
    lines: list[tuple[float | None, bool, list[Cell]]] = []
    for entry in board.entries:
        cells: list[Cell] = [(entry.name, entry.name)]
        cells += [(published(entry, key), entry.value(key)) for key in keys]
        lines.append((entry.overall, False, [*cells, (_provenance(entry), entry.provenance)]))
    for placement in group:
        run = placement.run
        cells = [(f"▶ {run.name}", run.name), *((decibels(run.value(key)), run.value(key)) for key in keys)]
        lines.append((run.overall, True, [*cells, (f"local, {run.dataset}", "local")]))
    lines.sort(key=lambda line: sort_key(line[0]), reverse=True)
    header = ["entry", *board.sources, "overall", "source of the values"]
    return _table(header, [(cells, is_local) for _, is_local, cells in lines], text_columns=(0, len(header) - 1))


def _difference_table(group: Sequence[Placement], entry: Entry) -> str:
    keys = (*group[0].board.sources, "song")
    rows: list[tuple[list[Cell], bool]] = []
    for placement in group:
        found = placement.differences(entry)
        cells: list[Cell] = [(placement.run.name, placement.run.name)]
        rows.append((cells + [(decibels(found[key], sign=True), found[key]) for key in keys], True))
    return _table(["run", *keys[:-1], "overall"], rows)


def _comparison_section(key: tuple[str, str, str], differences: Mapping[str, PairedDifference]) -> str:
    first, second, metric = key
    rows: list[tuple[list[Cell], bool]] = []
    for source, found in differences.items():
        cells: list[Cell] = [(source, source), (str(found.n_songs), found.n_songs)]
        cells += [(decibels(x, sign=True), x) for x in (found.difference, found.low, found.high)]
        rows.append(([*cells, ("yes" if found.is_clear else "no", float(found.is_clear))], False))
    share = next(iter(differences.values())).confidence
    header = ["source", "songs", "difference", f"{share:.0%} interval from", "to", "excludes zero"]
    return (
        f"<h2>{as_html(second)} minus {as_html(first)}, {as_html(metric)}</h2>"
        f"<p>Paired bootstrap over songs, values in dB.</p>{_table(header, rows)}"
    )


def _songs_section(runs: Sequence[LocalRun]) -> str:
    """Return a box plot per source and the table of songs, for the runs of one metric."""
    keys = list(dict.fromkeys(key for run in runs for key in run.per_song))
    groups = [(key, [(run.name, box_of(run.per_song.get(key, {}).values())) for run in runs]) for key in keys]
    legend = " ".join(f'<span class="run{index}">■</span> {as_html(run.name)}' for index, run in enumerate(runs))
    songs = sorted({song for run in runs for values in run.per_song.values() for song in values})
    rows: list[tuple[list[Cell], bool]] = []
    for song in songs[:MAX_SHOWN_SONGS]:
        for run in runs:
            values = [run.per_song.get(key, {}).get(song) for key in keys]
            rows.append(([(song, song), (run.name, run.name), *((decibels(v), v) for v in values)], False))
    metric = runs[0].metric
    is_cut = len(songs) > MAX_SHOWN_SONGS
    cut = f"The first {MAX_SHOWN_SONGS} of {len(songs)} songs; the scores files have all of them." if is_cut else ""
    return (
        f"<h2>Song by song, {as_html(metric)}</h2><p>{legend}</p>{cut and f'<p>{cut}</p>'}"
        f"{box_plot(groups, title=f'{metric} over songs, dB')}"
        f"{_table(['song', 'run', *keys], rows, text_columns=(0, 1))}"
    )


def _table(
    header: Sequence[str], rows: Sequence[tuple[Sequence[Cell], bool]], *, text_columns: Sequence[int] = (0,)
) -> str:
    kinds = ["text" if index in text_columns else "number" for index in range(len(header))]
    head = "".join(
        f'<th class="{kind}"><button type="button">{as_html(name)}</button></th>'
        for name, kind in zip(header, kinds, strict=True)
    )
    body = "".join(
        ('<tr class="local">' if is_local else "<tr>")
        + "".join(_cell(shown, value, kind) for (shown, value), kind in zip(cells, kinds, strict=True))
        + "</tr>"
        for cells, is_local in rows
    )
    return (
        f'<div class="scroll"><table class="sortable"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cell(shown: str, value: str | float | None, kind: str) -> str:
    sort_by = "" if value is None else str(value)
    return f'<td class="{kind}" data-value="{as_html(sort_by)}">{as_html(shown)}</td>'


def _provenance(entry: Entry) -> str:
    return entry.provenance if entry.confidence == 1 else f"{entry.provenance} (?)"
