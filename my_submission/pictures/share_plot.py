"""SDR by the share of one of two systems, as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from my_submission.pictures.palettes import PALETTES


def share_plot(sweeps: Mapping[str, Sequence[tuple[float, float]]]) -> bytes:
    """Return a PNG of one line per source: mean SDR in dB by the share of the first system, 0 … 1.

    Args:
        sweeps: source to (share, decibels); sources without any are left out.
    """
    from matplotlib.figure import Figure

    palette = PALETTES["light"]
    figure = Figure(figsize=(7, 4.2), dpi=150, facecolor=palette.paper, layout="constrained")
    axes = figure.subplots()
    for source, sweep in sweeps.items():
        if sweep:
            shares, decibels = zip(*sweep, strict=True)
            axes.plot(shares, decibels, label=source, color=palette.colour_of(source), marker="o", markersize=3)
    axes.set(xlabel="share of the first system", ylabel="SDR in dB", xlim=(0, 1))
    axes.grid(color=palette.line)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
