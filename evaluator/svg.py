"""Box plot as SVG text; the page's style sheet sets the colours by class."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from evaluator.distribution import Box
from terminal.names import as_html

_BOX_WIDTH, _BOX_PITCH, _BOX_PLOT_HEIGHT, _MARGIN = 22, 30, 260, 46

_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
_MOST_LINES = 8


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
    step = next(step for step in _STEPS if (high - low) / step <= _MOST_LINES or step == _STEPS[-1])
    return "".join(
        f'<line x1="{_MARGIN}" x2="{width}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>'
        f'<text x="{_MARGIN - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{str(tick).replace("-", "−")}</text>'
        for tick in range(-(-low // step) * step, high + 1, step)
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
