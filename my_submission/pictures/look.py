"""Colours that pictures, pages and the evaluator's plots have in common; a test compares them with the evaluator's."""

from __future__ import annotations

INK, SOFT, LINE, PAPER, WASH = "#1b1f24", "#59636e", "#d8dee4", "#ffffff", "#f5f7f9"
"""Text, lesser text, lines, background, and a background that sets something apart."""

SERIES = ("#b4540a", "#1f6f8b", "#5b7f1e", "#7a4b9c")
"""Things side by side."""

MUTED = "#9fb3c8"
"""What stands beside them for comparison."""

CUTOFF = "#ffffff"
"""A line on the spectrogram."""

SPECTROGRAM_MAP = "magma"
"""Dark to light without a jump in brightness, also for colour-blind readers."""

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
    """The colour of a source; that of the mixture for any other name."""
    return _SOURCE_COLOURS.get(track, SOFT)
