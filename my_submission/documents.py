"""Plain values of JSON and TOML as dataclasses: every key known, every value of its declared type.

``terminal.documents`` reads the text; :func:`convert` checks what is in it. A mistake is refused with its place in the
document and with the nearest known name. msgspec checks the values themselves.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from inspect import isclass
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from terminal.documents import DocumentError
from terminal.quantities import either

T = TypeVar("T")

KIND = "kind"
"""Key of a table that chooses one class of a :class:`Variant` family."""

KEY = "key"
"""Metadata of a dataclass field whose key in the document differs from its name."""

_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "a string", dict: "a table"}
_SHOWN_CHARACTERS = 60

_REFUSALS = (msgspec.ValidationError, UnicodeError)  # text of JSON may contain half of a surrogate pair


class Variant:
    """Base of dataclasses that come in several kinds; a direct subclass opens a family, its subclasses are the kinds.

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


def convert(kind: type[T], document: object, *, place: str = "") -> T:
    """Return the value of a type that plain values describe.

    Args:
        kind: a dataclass, a :class:`Variant` family, or any type that msgspec knows.
        document: nested tables, lists and scalars.
        place: place of the document inside a larger one, for messages.

    Raises:
        DocumentError: a key is unknown or missing, or a value does not fit.
    """
    value: T = _converted(kind, document, place)
    return value


def has_form(kind: Any, document: object) -> bool:
    """Whether plain values match a type such as a TypedDict; keys that it does not name are allowed."""
    try:
        msgspec.convert(document, kind)
    except _REFUSALS:
        return False
    return True


def key_of(field: Field[Any]) -> str:
    """Return the key of a dataclass field in documents."""
    key: str = field.metadata.get(KEY, field.name)
    return key


def _converted(hint: Any, given: object, place: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType} and given is not None:
        return _converted(next(option for option in arguments if option is not types.NoneType), given, place)
    if origin is tuple and isinstance(given, list | tuple):
        hints = arguments if Ellipsis not in arguments else arguments[:1] * len(given)
        if len(hints) != len(given):
            expected = f"a list of {len(hints)} values"
            raise DocumentError(f"expected {expected}, got {len(given)}", place=place, hint=f"write {expected} there")
        items = enumerate(zip(hints, given, strict=True))
        return tuple(_converted(hint, item, f"{place}[{index}]") for index, (hint, item) in items)
    if isclass(origin) and issubclass(origin, Mapping) and isinstance(given, Mapping):
        return {key: _converted(arguments[1], item, _below(place, key)) for key, item in given.items()}
    if is_dataclass(hint) or (isclass(hint) and issubclass(hint, Variant)):
        if not isinstance(given, Mapping):
            raise _misfit(hint, given, place)
        return _made(hint, given, place)
    try:
        return msgspec.convert(given, hint)
    except _REFUSALS as error:
        raise _misfit(hint, given, place) from error


@cache
def _hints_of(kind: type[Any]) -> dict[str, Any]:
    """Return the types of a dataclass's fields; computed once, because a manifest has many entries of one class."""
    return get_type_hints(kind)


def _made(kind: Any, table: Mapping[str, Any], place: str) -> Any:
    """Return an instance of a dataclass, or of the kind of a family that the table names."""
    if issubclass(kind, Variant):
        kind, table = _chosen(kind, table, place)
    known = {key_of(field): field for field in fields(kind)}
    for key in table:
        if key not in known:
            raise DocumentError(f"there is no key {key[:80]!r}", place=_below(place, key), hint=_nearest(key, known))
    for key, field in known.items():
        if key not in table and field.default is MISSING and field.default_factory is MISSING:
            raise DocumentError(f"the key {key!r} is missing", place=place, hint=f"add {key}")
    hints = _hints_of(kind)
    values = {
        known[key].name: _converted(hints[known[key].name], item, _below(place, key)) for key, item in table.items()
    }
    try:
        return kind(**values)
    except ValueError as error:
        raise DocumentError(str(error), place=place) from error


def _chosen(family: Any, table: Mapping[str, Any], place: str) -> tuple[Any, dict[str, Any]]:
    name = table.get(KIND)
    if name is None:
        raise DocumentError(f"the key {KIND!r} is missing", place=place, hint=_nearest("", family.kinds))
    if not isinstance(name, str) or name not in family.kinds:
        raise _misfit(Literal[*sorted(family.kinds)], name, _below(place, KIND))
    return family.kinds[name], {key: value for key, value in table.items() if key != KIND}


def _misfit(hint: Any, given: object, place: str) -> DocumentError:
    shown = repr(given)
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
    if get_origin(hint) is Literal:
        return DocumentError(f"there is no value {shown}", place=place, hint=_nearest(str(given), get_args(hint)))
    expected = _EXPECTED.get(hint, "a list" if get_origin(hint) is tuple else "a table")
    return DocumentError(f"expected {expected}, got {shown}", place=place, hint=f"write {expected} there")


def _nearest(given: str, known: Any) -> str:
    names = sorted(map(str, known))
    near = get_close_matches(given, names, n=2)
    return f"use {either(near or names)}" if names else "leave it out"


def _below(place: str, key: object) -> str:
    return f"{place}.{key}".lstrip(".")
