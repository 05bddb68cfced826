"""The scores page: local runs on published leaderboards, the conclusion first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair
import streamlit as st

from evaluator.boards import Board, all_boards, sort_key
from evaluator.errors import EvaluationError
from evaluator.replay import LocalRun, Placement, nearest_entry, place_run
from evaluator.scoring import DEFINITIONS
from evaluator.verdict import caution, conclusion, main_group, place, silent_references
from my_submission.pictures import palettes
from my_submission.webapp.app import current_app
from my_submission.webapp.settings import SCORES_BYTES
from my_submission.webapp.views.markdown import plain
from my_submission.webapp.views.scores_files import find_scores
from my_submission.webapp.views.scores_runs import Run, runs_of
from my_submission.webapp.views.session_uploads import content
from terminal.program import program_name

LOCAL, PUBLISHED = "local run", "published"

ABSENT = "–"
"""Shown if there is no value."""

_LOWEST_SHARE = -0.25
"""Left end of the bars, as a share of the longest: a run far below zero must not squeeze all others."""


def show() -> None:
    """Draw the page."""
    st.title("Scores", anchor=False)
    top, boards = st.container(), st.container()
    runs = _runs()
    placed = {board.name: _placements(runs, board) for board in all_boards()}
    fitting = [placements for placements in placed.values() if placements]
    start = main_group(fitting)[0].board if fitting else all_boards()[0]
    with boards:
        st.subheader("Board", anchor=False)
        columns = st.columns([2, 3], vertical_alignment="bottom")
        names = [board.name for board in all_boards()]
        chosen = columns[0].selectbox(
            "Board", names, index=names.index(start.name), format_func=_board_name, key="board"
        )
        board = all_boards()[names.index(chosen)]
        keys = ("song", *board.sources)
        key = columns[1].segmented_control("Stem", keys, default="song", format_func=_key_name, key="source") or "song"
        _show_board(board, placed[board.name], key)
    with top:
        _show_conclusion(board, placed[board.name])


def _board_name(name: str) -> str:
    board = next(board for board in all_boards() if board.name == name)
    return f"{board.name} · {board.dataset}"


def _show_conclusion(board: Board, placements: Sequence[Placement]) -> None:
    """Show the rank of every run on the board, and one note on whether the ranks are valid."""
    if not placements:
        st.info(f"There is no local run for {board.name}. Create one with `{program_name()} evaluate DATASET`.")
        return
    st.markdown("\n".join(f"* **{plain(conclusion(placement))}**" for placement in placements))
    remarks = dict.fromkeys(filter(None, (silent_references(placement.run) for placement in placements)))
    st.warning(plain(" ".join([caution([placements]), *remarks])), icon=":material/info:")


def _show_board(board: Board, placements: Sequence[Placement], key: str) -> None:
    palette = palettes.PALETTES["dark" if st.context.theme.type == "dark" else "light"]
    st.altair_chart(_bars(board, placements, key, palette), width="stretch")
    st.caption(f"{board.metrics[0]}: {DEFINITIONS[board.metrics[0]]}. All values in dB.")
    keys = ("song", *board.sources)
    st.dataframe(
        _table(board, placements), hide_index=True, width="stretch", height="content", column_config=_decibels(keys)
    )
    if placements:
        _show_differences(board, placements)
        st.subheader("Songs", anchor=False)
        st.altair_chart(_songs([placement.run for placement in placements], palette), width="stretch")


def _runs() -> list[Run]:
    """Show the runs of the server's folders and the uploaded one, and return the chosen ones."""
    st.subheader("Runs", anchor=False)
    found = find_scores(current_app().settings.scores_dirs)
    field = st.file_uploader(
        "Upload a scores file", type="json", max_upload_size=SCORES_BYTES >> 20, help="from `evaluator score --json`"
    )
    if field is not None and (uploaded := content(field)) is not None:
        found.add(field.name, uploaded)
    for name, problem in found.problems.items():
        st.warning(plain(f"{name}: {problem}"), icon=":material/warning:")
    runs = runs_of(found)
    if not runs:
        return []
    chosen = st.multiselect(
        "Runs shown", list(runs), default=list(runs), format_func=lambda file: runs[file].label, key="runs"
    )
    rows = [
        {"run": run.name, "date": run.made, "data set": run.dataset, "songs": run.n_songs, "settings": run.settings}
        for run in runs.values()
    ]
    st.dataframe(rows, hide_index=True, width="stretch", height="content")
    return [runs[file] for file in chosen]


def _placements(runs: Sequence[Run], board: Board) -> list[Placement]:
    placements = []
    for run in runs:
        try:
            placements.append(place_run(run.document, board))
        except EvaluationError:  # another metric or other sources than the board
            continue
    return placements


def _decibels(keys: Sequence[str]) -> dict[str, Any]:
    """Return the columns of values: two decimals, right-aligned, so that the decimal points are aligned."""
    return {_key_name(key): st.column_config.NumberColumn(format="%.2f") for key in keys}


def _key_name(key: str) -> str:
    return "overall" if key == "song" else key


def _rows(board: Board, placements: Sequence[Placement], key: str) -> list[dict[str, Any]]:
    rows = [
        {"name": entry.name, "dB": entry.value(key), "kind": PUBLISHED, "source": entry.provenance}
        for entry in board.entries
    ]
    rows += [
        {
            "name": f"▶ {p.run.name}",
            "dB": p.run.value(key),
            "kind": LOCAL,
            "source": f"local, {p.run.dataset}",
        }
        for p in placements
    ]
    return sorted((row for row in rows if row["dB"] is not None), key=lambda row: row["dB"], reverse=True)


def _bars(board: Board, placements: Sequence[Placement], key: str, palette: palettes.Palette) -> altair.LayerChart:
    rows = _rows(board, placements, key)
    in_order = list(dict.fromkeys(row["name"] for row in rows))
    longest = max((row["dB"] for row in rows), default=1.0)
    lowest = min(0.0, max(min((row["dB"] for row in rows), default=0.0), _LOWEST_SHARE * abs(longest)))
    scale = altair.Scale(domain=[lowest, max(1.15 * longest, 1.0)], clamp=True, nice=False)
    rows = [row | {"end": max(row["dB"], 0.0), "text": f"{row['dB']:.2f}".replace("-", "−")} for row in rows]
    base = altair.Chart(_data(rows)).encode(
        y=altair.Y("name:N", sort=in_order, title=None, axis=altair.Axis(labelLimit=190, ticks=False, domain=False)),
        tooltip=["name:N", altair.Tooltip("dB:Q", format=".3f"), "kind:N", "source:N"],
    )
    colours = altair.Scale(domain=[PUBLISHED, LOCAL], range=[palette.muted, palette.series[0]])
    bars = base.mark_bar(cornerRadius=3).encode(
        x=altair.X("dB:Q", title=f"{_key_name(key)}, dB", scale=scale),
        color=altair.Color("kind:N", scale=colours, legend=None),
    )
    labels = base.mark_text(align="left", dx=4, color=palette.ink).encode(
        x=altair.X("end:Q", scale=scale, title=f"{_key_name(key)}, dB"), text="text:N"
    )
    chart: altair.LayerChart = (bars + labels).properties(height=24 * max(1, len(rows)) + 30)
    return chart


def _table(board: Board, placements: Sequence[Placement]) -> list[dict[str, Any]]:
    keys = ("song", *board.sources)
    rows: list[dict[str, Any]] = [
        {
            "entry": entry.name,
            **{_key_name(key): entry.value(key) for key in keys},
            "source": entry.provenance,
        }
        for entry in board.entries
    ]
    rows += [
        {
            "entry": f"▶ {p.run.name}",
            **{_key_name(key): p.run.value(key) for key in keys},
            "source": f"local, {p.run.dataset}",
        }
        for p in placements
    ]
    return sorted(rows, key=lambda row: sort_key(row["overall"]), reverse=True)


def _show_differences(board: Board, placements: Sequence[Placement]) -> None:
    names = [entry.name for entry in board.entries]
    nearest = names.index(nearest_entry(placements[0]).name)
    entry = board.entry(st.selectbox("Difference to", names, index=nearest, key=f"entry-{board.name}"))
    keys = ("song", *board.sources)
    rows = []
    for placement in placements:
        found = placement.differences(entry)
        differences = {_key_name(key): found[key] for key in keys}
        rows.append({"run": placement.run.name, "place": place(placement), **differences})
    signed = {_key_name(key): st.column_config.NumberColumn(format="%+.2f") for key in keys}
    st.dataframe(rows, hide_index=True, width="stretch", column_config=signed, placeholder=ABSENT)


def _songs(runs: Sequence[LocalRun], palette: palettes.Palette) -> altair.Chart:
    rows = [
        {"run": run.name, "source": _key_name(key), "song": song, "dB": value}
        for run in runs
        for key, songs in run.per_song.items()
        for song, value in songs.items()
    ]
    colours = altair.Scale(range=list(palette.series))
    in_order = list(dict.fromkeys(str(row["source"]) for row in rows))
    legend = altair.Legend(orient="top", title=None, columns=1, labelLimit=0)
    points = altair.Chart(_data(rows)).mark_point(filled=True, size=70, opacity=0.75)
    chart: altair.Chart = points.encode(
        x=altair.X("source:N", sort=in_order, title=None, axis=altair.Axis(labelAngle=0)),
        xOffset="run:N",
        y=altair.Y("dB:Q", title="dB", scale=altair.Scale(zero=False)),
        color=altair.Color("run:N", scale=colours, legend=legend),
        tooltip=["song:N", "run:N", "source:N", altair.Tooltip("dB:Q", format=".3f")],
    ).properties(height=300)
    return chart


def _data(rows: list[dict[str, Any]]) -> altair.Data:
    return altair.Data(values=rows)  # type: ignore[no-untyped-call]
