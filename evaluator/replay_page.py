"""Replay as one HTML file with sortable tables and box plots; it loads nothing from other servers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template

from evaluator.boards import Entry, sort_key
from evaluator.bootstrap import PairedDifference
from evaluator.distribution import box_of
from evaluator.replay import LocalRun, Placement
from evaluator.replay_text import MOST_DIGITS, aligned_column
from evaluator.scoring import DEFINITIONS
from evaluator.svg import box_plot
from evaluator.tables import decibels
from evaluator.verdict import (
    Group,
    caution,
    conclusion,
    data_in_words,
    main_group,
    places,
    silent_references,
)
from terminal import quantities
from terminal.names import as_html, listed

Comparisons = Mapping[tuple[str, str, str], Mapping[str, PairedDifference]]
"""(first run, second run, metric) to source to difference."""

MAX_SHOWN_SONGS = 2000
"""Songs in the table: a row takes half a kilobyte per run, and browsers sort a few thousand rows."""

Cell = tuple[str, str | float | None]
"""Text and sort key of a table cell."""


def replay_page(placements: Sequence[tuple[Sequence[Placement], Entry]], comparisons: Comparisons) -> str:
    """Return the whole page: the conclusion, places on all boards, runs compared; boards and songs are folded.

    Args:
        placements: per board, every run on it and the entry to compare with.
    """
    groups = [group for group, _ in placements]
    runs = list({(p.run.name, p.run.metric): p.run for group in groups for p in group}.values())
    metrics = list(dict.fromkeys(run.metric for run in runs))
    template = Template(_resource("page.html"))
    script = _resource("page.js").strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    title = f"Leaderboard replay: {', '.join(dict.fromkeys(run.name for run in runs))}"
    boards = "".join(_board_section(group, entry) for group, entry in placements)
    songs = "".join(_songs_section([run for run in runs if run.metric == metric]) for metric in metrics)
    definitions = "".join(f"<dt>{as_html(m)}</dt><dd>{as_html(DEFINITIONS[m])}, in dB.</dd>" for m in metrics)
    body = [
        _conclusion(groups),
        _comparisons(comparisons),
        f"<h2>Boards</h2>{boards}",
        f"<h2>Songs</h2>{songs}",
        f"<h2>Definitions</h2><dl>{definitions}<dt>≈</dt><dd>An overall value that was not published: the mean of the "
        "stems’ values.</dd></dl>",
    ]
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return template.substitute(title=as_html(title), policy=policy, body="\n".join(body), script=script)


def _resource(name: str) -> str:
    return resources.files("evaluator").joinpath(name).read_text(encoding="utf-8")


def _conclusion(groups: Sequence[Group]) -> str:
    """Return the place of every run on the most informative board, and one note on which places are valid."""
    main = main_group(groups)
    sentences = "".join(f"<p>{_in_html(conclusion(placement))}</p>" for placement in main)
    remarks = dict.fromkeys(filter(None, (silent_references(placement.run) for placement in main)))
    notes = " ".join([caution(groups), *remarks])
    return f'<div class="conclusion">{sentences}</div><p class="caution"><strong>Note.</strong> {as_html(notes)}</p>'


def _board_section(group: Group, entry: Entry) -> str:
    board, metric = group[0].board, group[0].run.metric
    return (
        f"<details><summary>{as_html(board.name)} <small>{as_html(places(group))}, "
        f"{as_html(data_in_words(group[0]))}</small></summary>"
        f'<p class="soft">{as_html(board.dataset)}, {as_html(metric)}, dB</p>{_board_table(group)}'
        f"<h3>Difference to {as_html(entry.name)}</h3>{_difference_table(group, entry)}"
        f"<h3>Sources</h3><dl>{_sources(group)}</dl></details>"
    )


def _board_table(group: Group) -> str:
    board = group[0].board
    keys = ("song", *board.sources)
    shown: list[Entry | Placement] = [*board.entries, *group]
    shown.sort(key=lambda one: sort_key(_value(one, "song")), reverse=True)
    longest = max((_value(one, "song") or 0.0 for one in shown), default=0.0)
    columns = {key: aligned_column(shown, key, MOST_DIGITS) for key in keys}
    rows: list[tuple[list[Cell], bool]] = []
    for index, one in enumerate(shown):
        name = one.name if isinstance(one, Entry) else one.run.name
        cells: list[Cell] = [(name, name), *((columns[key][index], _value(one, key)) for key in keys)]
        rows.append((cells, isinstance(one, Placement)))
    bars = [max(0.0, (_value(one, "song") or 0.0) / longest) if longest > 0 else 0.0 for one in shown]
    return _table(["entry", "overall", *board.sources], rows, bars=bars, name=board.name)


def _value(one: Entry | Placement, key: str) -> float | None:
    return one.value(key) if isinstance(one, Entry) else one.run.value(key)


def _sources(group: Group) -> str:
    """Return the sources of published values, with the entries of each."""
    by_source: dict[str, list[str]] = {}
    for entry in group[0].board.entries:
        unsure = "" if entry.confidence == 1 else " (from a secondary text)"
        by_source.setdefault(entry.provenance + unsure, []).append(entry.name)
    return "".join(
        f"<dt>{as_html(source)}</dt><dd>{', '.join(map(_breakable, names))}</dd>" for source, names in by_source.items()
    )


def _difference_table(group: Group, entry: Entry) -> str:
    keys = ("song", *group[0].board.sources)
    rows: list[tuple[list[Cell], bool]] = []
    for placement in group:
        found = placement.differences(entry)
        cells: list[Cell] = [(placement.run.name, placement.run.name)]
        rows.append((cells + [(decibels(found[key], sign=True), found[key]) for key in keys], True))
    return _table(["run", "overall", *keys[1:]], rows, name=f"Difference to {entry.name}")


def _comparisons(comparisons: Comparisons) -> str:
    if not comparisons:
        return ""
    sections = "".join(_comparison_section(key, differences) for key, differences in comparisons.items())
    return f"<h2>Runs compared</h2>{sections}"


def _comparison_section(key: tuple[str, str, str], differences: Mapping[str, PairedDifference]) -> str:
    first, second, metric = key
    rows: list[tuple[list[Cell], bool]] = []
    for source, found in differences.items():
        name = "overall" if source == "song" else source
        interval = " … ".join(decibels(x, sign=True, digits=2) for x in (found.low, found.high))
        cells: list[Cell] = [(name, name), (decibels(found.difference, sign=True, digits=2), found.difference)]
        rows.append(
            ([*cells, (interval, found.low), ("yes" if found.is_clear else "no", float(found.is_clear))], False)
        )
    share = next(iter(differences.values())).confidence
    header = ["stem", "difference", f"{share:.0%} interval", "clear"]
    title = f"{second} minus {first}, {metric}"
    n_songs = max(found.n_songs for found in differences.values())
    return (
        f"<h3>{as_html(title)}</h3><p>{as_html(_difference_in_words(second, first, differences))}</p>"
        f"{_table(header, rows, name=title)}"
        f'<p class="soft">dB, {quantities.songs(n_songs)}. Intervals by paired bootstrap over songs; clear: the '
        "interval excludes zero.</p>"
    )


def _difference_in_words(second: str, first: str, differences: Mapping[str, PairedDifference]) -> str:
    """Return which run is better, stem by stem, as one sentence."""
    stems = {source: found for source, found in differences.items() if source != "song"}
    better = [source for source, found in stems.items() if found.is_clear and found.difference > 0]
    worse = [source for source, found in stems.items() if found.is_clear and found.difference < 0]
    if not better and not worse:
        return f"No stem shows a clear difference between {second} and {first}."
    words = [f"better in {listed(better)}" if better else "", f"worse in {listed(worse)}" if worse else ""]
    return f"{second} is clearly {' and '.join(filter(None, words))} than {first}."


def _songs_section(runs: Sequence[LocalRun]) -> str:
    """Return a box plot per source and the table of songs, for the runs of one metric."""
    keys = list(dict.fromkeys(key for run in runs for key in run.per_song))
    groups = [
        ("overall" if key == "song" else key, [(run.name, box_of(run.per_song.get(key, {}).values())) for run in runs])
        for key in keys
    ]
    legend = " ".join(f'<span class="run{index}">■</span> {as_html(run.name)}' for index, run in enumerate(runs))
    songs = sorted({song for run in runs for values in run.per_song.values() for song in values})
    rows: list[tuple[list[Cell], bool]] = []
    for song in songs[:MAX_SHOWN_SONGS]:
        for run in runs:
            values = [run.per_song.get(key, {}).get(song) for key in keys]
            names: list[Cell] = [(song, song)] if len(runs) == 1 else [(song, song), (run.name, run.name)]
            rows.append(([*names, *((decibels(v), v) for v in values)], False))
    metric = runs[0].metric
    is_cut = len(songs) > MAX_SHOWN_SONGS
    cut = f"The first {MAX_SHOWN_SONGS} of {len(songs)} songs; the scores files have all of them." if is_cut else ""
    header = ["song", *([] if len(runs) == 1 else ["run"]), *("overall" if key == "song" else key for key in keys)]
    title = f"{metric} over songs, dB"
    return (
        f"<details><summary>Song by song <small>{as_html(metric)}, {len(songs)} songs</small></summary>"
        f'<p class="legend">{legend}</p>{cut and f"<p>{cut}</p>"}'
        f'<div class="scroll" role="region" aria-label="{as_html(title)}" tabindex="0">{box_plot(groups, title=title)}'
        f"</div>{_table(header, rows, text_columns=(0,) if len(runs) == 1 else (0, 1), name=title)}</details>"
    )


def _table(
    header: Sequence[str],
    rows: Sequence[tuple[Sequence[Cell], bool]],
    *,
    text_columns: Sequence[int] = (0,),
    bars: Sequence[float] | None = None,
    name: str,
) -> str:
    """Return a sortable table in a box that scrolls sideways.

    Args:
        rows: cells, and whether they are of a local run.
        text_columns: columns that are sorted by name.
        bars: per row, the length of a bar in its second cell, 0 … 1.
        name: for screen readers.
    """
    kinds = ["text" if index in text_columns else "number" for index in range(len(header))]
    head = "".join(
        f'<th scope="col" class="{kind}"><button type="button">{as_html(column)}</button></th>'
        for column, kind in zip(header, kinds, strict=True)
    )
    body = "".join(
        ('<tr class="local">' if is_local else "<tr>")
        + "".join(
            _cell(*cell, kind, bars[index] if bars is not None and column == 1 else None)
            for column, (cell, kind) in enumerate(zip(cells, kinds, strict=True))
        )
        + "</tr>"
        for index, (cells, is_local) in enumerate(rows)
    )
    return (
        f'<div class="scroll" role="region" aria-label="{as_html(name)}" tabindex="0"><table class="sortable">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(shown: str, value: str | float | None, kind: str, bar: float | None = None) -> str:
    sort_by = "" if value is None else str(value)
    style = "" if bar is None else f' style="--bar: {100 * bar:.1f}%"'
    text = _breakable(shown) if kind == "text" else _in_html(shown)
    return f'<td class="{kind}{"" if bar is None else " bar"}" data-value="{as_html(sort_by)}"{style}>{text}</td>'


def _in_html(text: str) -> str:
    """Return text as HTML, with a typographic minus before numbers."""
    return re.sub(r"(?<![\w-])-(?=\d)", "−", as_html(text))


def _breakable(name: str) -> str:
    """Return a name as HTML that may be wrapped after an underscore or a hyphen."""
    return as_html(name).replace("_", "_<wbr>").replace("-", "-<wbr>")
