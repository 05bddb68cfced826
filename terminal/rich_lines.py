"""Lines for rich; a module of its own because a packed submission does not contain rich."""

from __future__ import annotations

from rich.text import Text

from terminal.names import shown


def rich_line(line: str, style: str = "") -> Text:
    """Return one line as rich text, without interpreting markup or emoji."""
    return Text(shown(line), style)
