"""Replay as a picture: a bar per entry of every board, a box per source of every run. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from evaluator.errors import EvaluationError
from evaluator.replay import LocalRun, Placement
from terminal.names import shown

INK, SOFT, LINE, PAPER, MUTED = "#1b1f24", "#59636e", "#d8dee4", "#ffffff", "#7188a0"
"""Colours of text, secondary text, lines, background and published entries, as on the page."""

SERIES = ("#b4540a", "#1f6f8b", "#557719", "#7a4b9c")
"""Colours of runs; the first is also that of local bars on a board."""

_DOTS_PER_INCH = 120


def replay_png(placements: Sequence[Sequence[Placement]]) -> bytes:
    """Draw every board, one below the other, with the runs' songs beside it, and return a PNG.

    Args:
        placements: per board, every run on it.

    Raises:
        EvaluationError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EvaluationError(
            "a plot needs matplotlib", hint="install it (pip install matplotlib), or use --html"
        ) from error
    heights = [0.9 + 0.26 * (len(group[0].board.entries) + len(group)) for group in placements]
    picture = io.BytesIO()
    with rc_context({"text.parse_math": False}):  # names may contain dollar signs
        figure = Figure(figsize=(12, max(sum(heights), 3.0)), layout="constrained", facecolor=PAPER)
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(placements), 2, squeeze=False, height_ratios=heights)
        for (bars, boxes), group in zip(axes, placements, strict=True):
            _draw_bars(bars, group)
            _draw_boxes(boxes, [placement.run for placement in group])
        figure.savefig(picture, format="png", dpi=_DOTS_PER_INCH)
    return picture.getvalue()


def _draw_bars(axes: Any, group: Sequence[Placement]) -> None:
    board = group[0].board
    bars = [(e.overall, e.name, MUTED) for e in board.entries if e.overall is not None]
    bars += [(p.run.overall, f"> {p.run.name}", SERIES[0]) for p in group if p.run.overall is not None]
    bars.sort()
    positions = range(len(bars))
    drawn = axes.barh(positions, [bar[0] for bar in bars], color=[bar[2] for bar in bars])
    axes.bar_label(drawn, fmt="%.2f", padding=3, fontsize=8, color=INK)
    axes.set_yticks(positions, [shown(bar[1]) for bar in bars], fontsize=8)
    axes.margins(x=0.12)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    _plain(axes)
    title = f"{board.name}, {board.dataset}: {group[0].run.metric} [dB]"
    if not group[0].is_comparable:
        title += f"\nlocal runs: other data ({shown(group[0].run.dataset)}), for orientation only"
    axes.set_title(title, fontsize=9, color=INK, loc="left")


def _draw_boxes(axes: Any, runs: Sequence[LocalRun]) -> None:
    keys = list(runs[0].per_song)
    width = 0.8 / len(runs)
    for index, run in enumerate(runs):
        colour = SERIES[index % len(SERIES)]
        positions = [position + (index - (len(runs) - 1) / 2) * width for position in range(len(keys))]
        values = [list(run.per_song.get(key, {}).values()) for key in keys]
        drawn = axes.boxplot(
            values, positions=positions, widths=0.8 * width, patch_artist=True, medianprops={"color": INK}
        )
        for box in drawn["boxes"]:
            box.set(facecolor=colour, alpha=0.55, edgecolor=colour)
        axes.plot([], [], color=colour, linewidth=6, label=shown(run.name))
    axes.set_xticks(range(len(keys)), [shown(key) for key in keys])
    axes.set_ylabel("dB", color=SOFT, fontsize=8)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.legend(fontsize=8, frameon=False, labelcolor=INK)
    axes.set_title(f"{runs[0].metric} over songs", fontsize=9, color=INK, loc="left")
    _plain(axes)


def _plain(axes: Any) -> None:
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, labelcolor=INK, color=LINE, length=3)
    for spine in axes.spines.values():
        spine.set_visible(False)
