"""Colours of pictures and pages; a test checks that they equal those of the evaluator's plots."""

from __future__ import annotations

INK, SOFT, LINE, PAPER, WASH = "#1b1f24", "#59636e", "#d8dee4", "#ffffff", "#f5f7f9"
"""Text, secondary text, lines, background and secondary background."""

SERIES = ("#b4540a", "#1f6f8b", "#5b7f1e", "#7a4b9c")
"""Series in one plot."""

MUTED = "#9fb3c8"
"""Published entries beside local runs."""

CUTOFF = "#ffffff"
"""Cutoff line on the spectrogram."""

SPECTROGRAM_MAP = "magma"
"""A colour map with monotonic brightness, also for colour-blind readers."""

_SOURCE_COLOURS = {
    "vocals": SERIES[0],
    "drums": SERIES[1],
    "other": SERIES[2],
    "bass": SERIES[3],
    "dialog": SERIES[0],
    "effect": SERIES[1],
    "music": SERIES[3],
}


def colour_of(track: str) -> str:
    """Return the colour of a source, or that of the mixture for any other name."""
    return _SOURCE_COLOURS.get(track, SOFT)
