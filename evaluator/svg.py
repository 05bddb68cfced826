"""Bar plot and box plot as SVG text; the page's style sheet sets the colours by class."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evaluator.distribution import Box
from terminal.names import as_html

_BAR_HEIGHT, _BAR_GAP, _LABEL_WIDTH, _PLOT_WIDTH = 18, 6, 230, 520
_BOX_WIDTH, _BOX_PITCH, _BOX_PLOT_HEIGHT, _MARGIN = 22, 30, 260, 46


@dataclass(frozen=True)
class Bar:
    """One bar: label, length in dB, and whether it belongs to a local run."""

    label: str
    value: float
    is_local: bool = False


def bar_plot(bars: Sequence[Bar], *, title: str) -> str:
    """Return horizontal bars from zero, scaled to the full width, with the value in dB at the end of each."""
    low, high = min(0.0, *(bar.value for bar in bars)), max(0.0, *(bar.value for bar in bars))
    scale = _PLOT_WIDTH / ((high - low) or 1.0)
    zero = _LABEL_WIDTH - low * scale
    lines = []
    for index, bar in enumerate(bars):
        top, length = index * (_BAR_HEIGHT + _BAR_GAP), abs(bar.value) * scale
        left = zero if bar.value >= 0 else zero - length
        kind = "local" if bar.is_local else "entry"
        lines.append(
            f'<text x="{_LABEL_WIDTH - 8}" y="{top + 13}" text-anchor="end" class="{kind}">{as_html(bar.label)}</text>'
            f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{_BAR_HEIGHT}" class="{kind}"/>'
            f'<text x="{max(left + length, zero) + 6:.1f}" y="{top + 13}">{bar.value:.2f}</text>'
        )
    height = len(bars) * (_BAR_HEIGHT + _BAR_GAP)
    return _svg(_LABEL_WIDTH + _PLOT_WIDTH + 60, height, title, "".join(lines))


def box_plot(groups: Sequence[tuple[str, Sequence[tuple[str, Box | None]]]], *, title: str) -> str:
    """Return boxes side by side on a dB axis, one group per source and one box per run.

    Args:
        groups: source to (run, box); the run's index in its group gives its colour class ``run0``, ``run1`` …
        title: description for screen readers.
    """
    values = [value for _, boxes in groups for _, box in boxes if box for value in (box.low, box.high, *box.outliers)]
    low, high = (math.floor(min(values)), math.ceil(max(values))) if values else (0, 1)
    high = high + 1 if high == low else high

    def y(value: float) -> float:
        return 10 + (high - value) / (high - low) * _BOX_PLOT_HEIGHT

    width = _MARGIN + sum(_BOX_PITCH * len(boxes) + 30 for _, boxes in groups)
    parts = [_axis(low, high, y, width)]
    left = _MARGIN + 15.0
    for source, boxes in groups:
        centre = left + _BOX_PITCH * len(boxes) / 2
        parts.append(
            f'<text x="{centre:.0f}" y="{_BOX_PLOT_HEIGHT + 30}" text-anchor="middle">{as_html(source)}</text>'
        )
        for index, (run, box) in enumerate(boxes):
            if box is not None:
                parts.append(_one_box(box, left + (index + 0.5) * _BOX_PITCH, y, run, f"run{index}"))
        left += _BOX_PITCH * len(boxes) + 30
    return _svg(width, _BOX_PLOT_HEIGHT + 40, title, "".join(parts))


def _axis(low: int, high: int, y: Callable[[float], float], width: float) -> str:
    step = max(1, round((high - low) / 8))
    return "".join(
        f'<line x1="{_MARGIN}" x2="{width}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>'
        f'<text x="{_MARGIN - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>'
        for tick in range(low, high + 1, step)
    )


def _one_box(box: Box, centre: float, y: Callable[[float], float], run: str, kind: str) -> str:
    left = centre - _BOX_WIDTH / 2
    top, bottom = y(box.third_quartile), y(box.first_quartile)
    dots = "".join(f'<circle cx="{centre:.1f}" cy="{y(value):.1f}" r="2.5"/>' for value in box.outliers)
    return (
        f'<g class="box {kind}"><title>{as_html(run)}: median {box.median:.2f} dB, quartiles {box.first_quartile:.2f} '
        f"and {box.third_quartile:.2f}</title>"
        f'<line x1="{centre:.1f}" x2="{centre:.1f}" y1="{y(box.high):.1f}" y2="{y(box.low):.1f}"/>'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{_BOX_WIDTH}" height="{max(bottom - top, 1):.1f}"/>'
        f'<line x1="{left:.1f}" x2="{left + _BOX_WIDTH:.1f}" y1="{y(box.median):.1f}" y2="{y(box.median):.1f}" '
        f'class="median"/>{dots}</g>'
    )


def _svg(width: float, height: float, title: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" '
        f'aria-label="{as_html(title)}">{body}</svg>'
    )
