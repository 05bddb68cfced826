"""Names of files, songs, systems and artefacts, as they are stored and as they are shown.

A file's name may hold any byte. Python keeps bytes that are no UTF-8 as lone surrogates, which no file in UTF-8, no
Parquet table and no strict reader of JSON can hold. Here such a byte becomes ``\\xff`` (its value in hexadecimal), any
other lone surrogate ``\\ud800``, and a backslash before text that looks like one of these ``\\x5c``, so that
:func:`restored` gives back exactly the name.
"""

from __future__ import annotations

import os
import re
import unicodedata
from html import escape
from os import PathLike
from typing import Any

_BYTE_SURROGATES = range(0xDC80, 0xDD00)
"""What Python makes of the bytes 0x80 … 0xff of a file's name that are no UTF-8."""

_TO_STORE = re.compile(r"[\ud800-\udfff]|\\(?=x[0-9a-f]{2}|u[0-9a-f]{4})")
_STORED = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})")

_JOINERS = frozenset("\u200c\u200d")
"""Invisible, but part of how some scripts and emoji are written."""


def stored(name: str) -> str:
    """The name as valid Unicode, for JSON, Parquet, CSV and other files; :func:`restored` gives the name back."""
    return name if name.isascii() and "\\" not in name else _TO_STORE.sub(lambda found: _escape(found[0]), name)


def restored(text: str) -> str:
    """The name that :func:`stored` was given."""
    return _STORED.sub(lambda found: _character(found[1], found[2]), text) if "\\" in text else text


def storable(document: Any) -> Any:
    """A copy of a JSON document in which every text, keys included, is as :func:`stored` gives it."""
    if isinstance(document, str):
        return stored(document)
    if isinstance(document, dict):
        return {storable(key): storable(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [storable(value) for value in document]
    return document


def shown(text: str) -> str:
    """The text as one line that a terminal shows and does not obey.

    Control characters (escape sequences, newlines), marks that turn the direction of writing, other invisible marks
    and bytes that are no UTF-8 are written out as ``\\x1b``, ``\\u202e``. Nothing else changes.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def as_html(text: str) -> str:
    """The text as :func:`shown` gives it, for element content and quoted attributes of a page."""
    return escape(shown(text), quote=True)


def system_name(path: str | PathLike[str]) -> str | bytes:
    """A file's name as libraries in C take it: its bytes, where names are bytes."""
    return os.fsencode(path) if os.name == "posix" else os.fspath(path)


def _shown(character: str) -> str:
    is_harmless = character in _JOINERS or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return character if is_harmless else _escape(character)


def _escape(character: str) -> str:
    """Two digits for ASCII and for bytes that are no UTF-8, four or eight for other characters."""
    code = ord(character)
    if code in _BYTE_SURROGATES:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _character(byte: str | None, code: str | None) -> str:
    value = int(byte or code or "", 16)
    return chr(value + 0xDC00 if byte and value >= 0x80 else value)
