"""The scores page: local runs on published leaderboards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair
import streamlit as st

from evaluator.boards import Board, all_boards, sort_key
from evaluator.errors import EvaluationError
from evaluator.replay import LocalRun, Placement, nearest_entry, place_run
from evaluator.scores import Document
from evaluator.scoring import DEFINITIONS
from evaluator.verdict import caution
from my_submission.pictures import look
from my_submission.webapp.app import current_app
from my_submission.webapp.settings import SCORES_BYTES
from my_submission.webapp.views.markdown import plain
from my_submission.webapp.views.scores_files import find_scores
from my_submission.webapp.views.session_uploads import content
from terminal.program import program_name

LOCAL, PUBLISHED = "local run", "published"


def show() -> None:
    """Draw the page."""
    st.title("Scores and leaderboards", anchor=False)
    with st.sidebar:
        documents = _documents()
    columns = st.columns([2, 3], vertical_alignment="bottom")
    board = columns[0].selectbox(
        "Board", all_boards(), format_func=lambda one: f"{one.name} · {one.dataset}", key="board"
    )
    keys = ("song", *board.sources)
    key = columns[1].segmented_control("Source", keys, default="song", format_func=_key_name, key="source") or "song"
    placements = _placements(documents, board)
    if placements:
        st.warning(plain(caution([placements])), icon=":material/info:")
    if not placements:
        st.info(f"There is no local run for this board. Create one with `{program_name()} evaluate DATASET`.")
    st.altair_chart(_bars(board, placements, key), width="stretch")
    st.caption(f"{board.metrics[0]}: {DEFINITIONS[board.metrics[0]]}. All values in dB.")
    st.dataframe(_table(board, placements), hide_index=True, width="stretch", height="content")
    if placements:
        _show_differences(board, placements)
        st.subheader("Scores per song", anchor=False)
        st.altair_chart(_songs([placement.run for placement in placements]), width="stretch")


def _documents() -> dict[str, Document]:
    """Return the chosen scores files of the server's folders and the uploaded one, by name."""
    st.subheader("Runs", anchor=False)
    found = find_scores(current_app().settings.scores_dirs)
    field = st.file_uploader(
        "Upload a scores file", type="json", max_upload_size=SCORES_BYTES >> 20, help="from `evaluator score --json`"
    )
    if field is not None and (uploaded := content(field)) is not None:
        found.add(field.name, uploaded)
    for name, problem in found.problems.items():
        st.warning(plain(f"{name}: {problem}"), icon=":material/warning:")
    chosen = st.multiselect("Show", list(found.documents), default=list(found.documents), key="runs")
    return {name: found.documents[name] for name in chosen}


def _placements(documents: dict[str, Document], board: Board) -> list[Placement]:
    placements = []
    for document in documents.values():
        try:
            placements.append(place_run(document, board))
        except EvaluationError:  # another metric or other sources than the board
            continue
    return placements


def _key_name(key: str) -> str:
    return "overall" if key == "song" else key


def _rows(board: Board, placements: Sequence[Placement], key: str) -> list[dict[str, Any]]:
    rows = [
        {"name": entry.name, "dB": entry.value(key), "kind": PUBLISHED, "source of values": entry.provenance}
        for entry in board.entries
    ]
    rows += [
        {
            "name": f"▶ {p.run.name}",
            "dB": p.run.value(key),
            "kind": LOCAL,
            "source of values": f"local, {p.run.dataset}",
        }
        for p in placements
    ]
    return sorted((row for row in rows if row["dB"] is not None), key=lambda row: row["dB"], reverse=True)


def _bars(board: Board, placements: Sequence[Placement], key: str) -> altair.LayerChart:
    rows = _rows(board, placements, key)
    in_order = list(dict.fromkeys(row["name"] for row in rows))
    base = altair.Chart(_data(rows)).encode(
        y=altair.Y("name:N", sort=in_order, title=None, axis=altair.Axis(labelLimit=260, ticks=False, domain=False)),
        x=altair.X("dB:Q", title=f"{_key_name(key)}, dB"),
        tooltip=["name:N", altair.Tooltip("dB:Q", format=".3f"), "kind:N", "source of values:N"],
    )
    colours = altair.Scale(domain=[PUBLISHED, LOCAL], range=[look.MUTED, look.SERIES[0]])
    bars = base.mark_bar(cornerRadius=3).encode(color=altair.Color("kind:N", scale=colours, legend=None))
    labels = base.mark_text(align="left", dx=4, color=look.INK).encode(text=altair.Text("dB:Q", format=".2f"))
    chart: altair.LayerChart = (bars + labels).properties(height=24 * max(1, len(rows)) + 30)
    return chart


def _table(board: Board, placements: Sequence[Placement]) -> list[dict[str, Any]]:
    keys = ("song", *board.sources)
    rows: list[dict[str, Any]] = [
        {
            "entry": entry.name,
            **{_key_name(key): entry.value(key) for key in keys},
            "source of values": entry.provenance,
        }
        for entry in board.entries
    ]
    rows += [
        {
            "entry": f"▶ {p.run.name}",
            **{_key_name(key): None if (db := p.run.value(key)) is None else round(db, 3) for key in keys},
            "source of values": f"local, {p.run.dataset}",
        }
        for p in placements
    ]
    return sorted(rows, key=lambda row: sort_key(row["overall"]), reverse=True)


def _show_differences(board: Board, placements: Sequence[Placement]) -> None:
    names = [entry.name for entry in board.entries]
    nearest = names.index(nearest_entry(placements[0]).name)
    entry = board.entry(st.selectbox("Difference to", names, index=nearest, key=f"entry-{board.name}"))
    rows = []
    for placement in placements:
        found = placement.differences(entry)
        differences = {_key_name(key): _signed(found[key]) for key in ("song", *board.sources)}
        rank = f"{placement.shown_rank} of {len(board.entries) + 1}"
        rows.append({"run": placement.run.name, "rank": rank, **differences})
    st.dataframe(rows, hide_index=True, width="stretch")


def _signed(db: float | None) -> str:
    return "—" if db is None else f"{db:+.2f}".replace("-", "−")


def _songs(runs: Sequence[LocalRun]) -> altair.Chart:
    rows = [
        {"run": run.name, "source": _key_name(key), "song": song, "dB": value}
        for run in runs
        for key, songs in run.per_song.items()
        for song, value in songs.items()
    ]
    colours = altair.Scale(range=list(look.SERIES))
    in_order = list(dict.fromkeys(str(row["source"]) for row in rows))
    points = altair.Chart(_data(rows)).mark_point(filled=True, size=70, opacity=0.75)
    chart: altair.Chart = points.encode(
        x=altair.X("source:N", sort=in_order, title=None, axis=altair.Axis(labelAngle=0)),
        xOffset="run:N",
        y=altair.Y("dB:Q", title="dB", scale=altair.Scale(zero=False)),
        color=altair.Color("run:N", scale=colours, legend=altair.Legend(orient="top", title=None)),
        tooltip=["song:N", "run:N", "source:N", altair.Tooltip("dB:Q", format=".3f")],
    ).properties(height=300)
    return chart


def _data(rows: list[dict[str, Any]]) -> altair.Data:
    return altair.Data(values=rows)  # type: ignore[no-untyped-call]
