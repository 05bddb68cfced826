"""Secret tokens for URLs and folders."""

from __future__ import annotations

import secrets

TOKEN_BYTES = 24
"""192 bits, which cannot be guessed."""


def new_token() -> str:
    """Return a new secret of hexadecimal digits, which are valid in URLs, file names and Streamlit's component keys."""
    return secrets.token_hex(TOKEN_BYTES)


def is_same_secret(one: str, other: str) -> bool:
    """Return whether two secrets are equal, in constant time."""
    return secrets.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
