"""Secrets in addresses, and the keys that Streamlit knows components by."""

from __future__ import annotations

import hashlib
import secrets

TOKEN_BYTES = 24
"""192 bits: nobody guesses one."""


def new_token() -> str:
    """A new secret, of hexadecimal digits alone: no address, file system or key has a rule against those."""
    return secrets.token_hex(TOKEN_BYTES)


def is_same_secret(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing of where they differ; any text may be given."""
    return secrets.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def component_key(kind: str, token: str) -> str:
    """The key of a component that belongs to a token.

    Streamlit parts its own names at two underscores and refuses keys that hold them. Whatever the token is, of it the
    key holds hexadecimal digits alone, and two tokens have two keys.

    Raises:
        ValueError: the kind itself holds something else than letters.
    """
    if not (kind.isascii() and kind.isalpha()):
        raise ValueError(f"the kind of a component is a word of letters, not {kind!r}")
    return f"{kind}-{hashlib.sha256(token.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
