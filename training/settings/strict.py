"""Frozen dataclasses from plain tables: every key known, every value of its declared type, nothing guessed.

An unknown key is an error that names the nearest known one. A field whose type derives from :class:`Variant`
is a table that chooses one of several dataclasses by its key ``kind``.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from my_submission.errors import UnknownNameError

T = TypeVar("T")
KIND = "kind"


class SettingsError(UnknownNameError):
    """A key or value of an experiment that does not exist or does not fit."""


class Variant:
    """Base of settings that come in several kinds; a direct subclass opens a family, its subclasses are the kinds.

    ``class Effect(Variant)`` opens a family; ``class Gain(Effect, kind="gain")`` joins it.
    """

    kind: ClassVar[str] = ""
    kinds: ClassVar[dict[str, type[Any]]] = {}

    def __init_subclass__(cls, *, kind: str | None = None, **more: Any) -> None:
        super().__init_subclass__(**more)
        if Variant in cls.__bases__:
            cls.kinds = {}
        elif kind is not None:
            cls.kind = kind
            cls.kinds[kind] = cls


def from_table(hint: type[T], table: object, where: str = "") -> T:
    """The value of type ``hint`` that a plain table (of TOML or JSON) describes.

    Args:
        hint: a frozen dataclass, or a :class:`Variant` family.
        table: nested dicts, lists and scalars.
        where: dotted path for messages.

    Raises:
        SettingsError: a key is unknown, missing, or its value does not fit.
    """
    value: T = _value(hint, table, where)
    return value


def to_table(value: Any) -> Any:
    """The plain table that :func:`from_table` reads as ``value``; fields that are None are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        table = {field.name: to_table(getattr(value, field.name)) for field in fields(value)}
        kind = {KIND: value.kind} if isinstance(value, Variant) else {}
        return kind | {name: item for name, item in table.items() if item is not None}
    if isinstance(value, Mapping):
        return {name: to_table(item) for name, item in value.items()}
    return [to_table(item) for item in value] if isinstance(value, tuple | list) else value


def _value(hint: Any, given: object, where: str) -> Any:
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return _value(next(option for option in get_args(hint) if option is not type(None)), given, where)
    if origin is tuple:
        if not isinstance(given, list | tuple):
            raise _misfit(where, given, "a list")
        return tuple(_value(get_args(hint)[0], item, f"{where}[{index}]") for index, item in enumerate(given))
    if origin is not None and issubclass_safe(origin, Mapping):
        table = _table(given, where)
        return {key: _value(get_args(hint)[1], item, f"{where}.{key}") for key, item in table.items()}
    if origin is Literal:
        if given not in get_args(hint):
            raise _unknown(where, str(given), get_args(hint), "value")
        return given
    if issubclass_safe(hint, Variant):
        return _variant(hint, _table(given, where), where)
    return _dataclass(hint, _table(given, where), where) if is_dataclass(hint) else _scalar(hint, given, where)


def _scalar(hint: Any, given: object, where: str) -> Any:
    if hint is float and type(given) is int:
        return float(given)
    if type(given) is not hint:  # a bool is an int to isinstance, and no count
        raise _misfit(where, given, f"a value of type {hint.__name__}")
    return given


def _variant(family: Any, table: Mapping[str, Any], where: str) -> Any:
    if KIND not in table:
        raise SettingsError(f"{where} has no {KIND}", hint=f"choose one of {', '.join(sorted(family.kinds))}")
    if not isinstance(table[KIND], str) or table[KIND] not in family.kinds:
        raise _unknown(f"{where}.{KIND}", str(table[KIND]), tuple(family.kinds), "value")
    return _dataclass(family.kinds[table[KIND]], {k: v for k, v in table.items() if k != KIND}, where)


def _dataclass(kind: Any, table: Mapping[str, Any], where: str) -> Any:
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for key in table:
        if key not in known:
            raise _unknown(f"{where}.{key}".lstrip("."), key, tuple(known), "key")
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    missing = [name for name in needed if name not in table]
    if missing:
        raise SettingsError(f"{where or 'the experiment'} lacks {', '.join(missing)}", hint="add what is missing")
    values = {key: _value(hints[key], item, f"{where}.{key}".lstrip(".")) for key, item in table.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise SettingsError(f"{where or 'the experiment'}: {error}") from error


def _table(given: object, where: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise _misfit(where, given, "a table")
    return given


def issubclass_safe(candidate: Any, base: type) -> bool:
    """Whether ``candidate`` is a class below ``base``; False for anything that is no class."""
    return isinstance(candidate, type) and issubclass(candidate, base)


def _misfit(where: str, given: object, expected: str) -> SettingsError:
    return SettingsError(f"{where} is {given!r}, and {expected} is expected")


def _unknown(where: str, given: str, known: tuple[str, ...], what: str) -> SettingsError:
    near = get_close_matches(given, known, n=2) or sorted(known)
    return SettingsError(f"{where}: there is no {what} {given!r}", hint=f"use {' or '.join(near)}")
