"""Escapes untrusted text, such as file names, for Streamlit's Markdown."""

from __future__ import annotations

import string

from terminal.names import shown

_ESCAPED = str.maketrans({mark: f"\\{mark}" for mark in string.punctuation})


def plain(text: str) -> str:
    """Return the text with all punctuation escaped, so that it contains no markup."""
    return shown(text).translate(_ESCAPED)
