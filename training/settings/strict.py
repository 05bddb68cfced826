"""Settings of an experiment from plain tables; errors name the key and the nearest known one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from my_submission.documents import KIND, Variant, convert
from my_submission.errors import UnknownNameError
from terminal.documents import DocumentError

T = TypeVar("T")


class SettingsError(UnknownNameError):
    """A key or value of an experiment that does not exist or does not fit."""


def from_table(kind: type[T], table: object) -> T:
    """Return the settings that a plain table (of TOML or JSON) describes.

    Args:
        kind: a frozen dataclass, or a :class:`my_submission.documents.Variant` family.
        table: nested dicts, lists and scalars.

    Raises:
        SettingsError: a key is unknown or missing, or its value does not fit.
    """
    try:
        return convert(kind, table)
    except DocumentError as error:
        raise SettingsError(str(error), hint=error.hint) from error


def value_at(table: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key in a plain table; None if it is not there."""
    found: Any = table
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def to_table(value: Any) -> Any:
    """Return the plain table that :func:`from_table` reads as ``value``; fields that are None are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        table = {field.name: to_table(getattr(value, field.name)) for field in fields(value)}
        kind = {KIND: value.kind} if isinstance(value, Variant) else {}
        return kind | {name: item for name, item in table.items() if item is not None}
    if isinstance(value, Mapping):
        return {name: to_table(item) for name, item in value.items()}
    return [to_table(item) for item in value] if isinstance(value, tuple | list) else value
