"""Text of others in Streamlit's Markdown: names of files, of runs, of data sets."""

from __future__ import annotations

import string

from terminal.names import shown

_ESCAPED = str.maketrans({mark: f"\\{mark}" for mark in string.punctuation})


def plain(text: str) -> str:
    """The text with every mark escaped, nothing invisible: none of it is a link, a picture or a directive."""
    return shown(text).translate(_ESCAPED)
