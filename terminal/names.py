"""Escapes for names of files, songs, systems and artefacts, for storage and for display.

A file name may contain any byte. Python represents bytes that are not UTF-8 as lone surrogates, which UTF-8 files,
Parquet and strict JSON readers refuse. :func:`stored` writes such a byte as ``\\xff`` (its value in hexadecimal) and
any other lone surrogate as ``\\ud800``. A backslash before text that looks like such an escape becomes ``\\x5c``, so
that :func:`restored` returns exactly the original name.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from html import escape
from os import PathLike
from typing import Any

_BYTE_SURROGATES = range(0xDC80, 0xDD00)
"""Surrogates by which Python represents the bytes 0x80 … 0xff of a file name that is not UTF-8."""

_TO_STORE = re.compile(r"[\ud800-\udfff]|\\(?=x[0-9a-f]{2}|u[0-9a-f]{4})")
_STORED = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})")

_JOINERS = frozenset("\u200c\u200d")
"""Zero-width characters that some scripts and emoji need."""


def listed(names: Sequence[str]) -> str:
    """Return names in words: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def stored(name: str) -> str:
    """Return the name as valid Unicode, for JSON, Parquet and CSV files; :func:`restored` is the inverse."""
    return name if name.isascii() and "\\" not in name else _TO_STORE.sub(lambda found: _escape(found[0]), name)


def restored(text: str) -> str:
    """Return the name that :func:`stored` was given."""
    return _STORED.sub(lambda found: _character(found[1], found[2]), text) if "\\" in text else text


def storable(document: Any) -> Any:
    """Return a copy of a JSON document with :func:`stored` applied to every string, keys included."""
    if isinstance(document, str):
        return stored(document)
    if isinstance(document, dict):
        return {storable(key): storable(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [storable(value) for value in document]
    return document


def shown(text: str) -> str:
    """Return the text as one line that is safe to print.

    Control characters (escape sequences, newlines), marks that change the writing direction, other invisible marks
    and bytes that are not UTF-8 are written as ``\\x1b``, ``\\u202e``. Nothing else changes.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def as_html(text: str) -> str:
    """Return :func:`shown` of the text, escaped for HTML element content and quoted attributes."""
    return escape(shown(text), quote=True)


def system_name(path: str | PathLike[str]) -> str | bytes:
    """Return a file name as C libraries take it: as bytes on POSIX."""
    return os.fsencode(path) if os.name == "posix" else os.fspath(path)


def _shown(character: str) -> str:
    is_harmless = character in _JOINERS or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return character if is_harmless else _escape(character)


def _escape(character: str) -> str:
    """Return two digits for ASCII and for bytes that are not UTF-8, four or eight for other characters."""
    code = ord(character)
    if code in _BYTE_SURROGATES:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _character(byte: str | None, code: str | None) -> str:
    value = int(byte or code or "", 16)
    return chr(value + 0xDC00 if byte and value >= 0x80 else value)
