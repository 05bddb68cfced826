"""Lines for rich; apart from the others, so that a packed submission needs no rich."""

from __future__ import annotations

from rich.text import Text

from terminal.names import shown


def rich_line(line: str, style: str = "") -> Text:
    """One line for rich, which looks for no markup and no emoji in it."""
    return Text(shown(line), style)
