"""Configuration files: lookup by name, inheritance from a base, ``key=value`` overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from terminal.documents import DocumentError, parse_toml, read_toml
from training.settings.published import in_our_words
from training.settings.strict import SettingsError, from_table

T = TypeVar("T")

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
BASE = "base"
"""Key that names the base of a file, relative to it."""


def experiment_names(root: Path = CONFIGS) -> list[str]:
    """Return the names of the configurations, such as ``kuielab-a/vocals``; files starting with ``_`` are bases."""
    paths = sorted(path.relative_to(root) for path in root.rglob("*.toml") if not path.name.startswith("_"))
    return [path.with_suffix("").as_posix() for path in paths]


def load(kind: type[T], name: str, overrides: Sequence[str] = (), *, root: Path = CONFIGS) -> T:
    """Load the settings of a configuration file.

    Args:
        kind: the dataclass to load.
        name: name of a file below ``root``, or a path that ends in ``.toml``.
        overrides: ``dotted.key=value`` with a TOML value; bare words are strings. Options of the authors' programs are
            accepted in their spelling (:mod:`training.settings.published`).
        root: folder of configurations.

    Raises:
        SettingsError: a file, key or value is unknown or invalid.
    """
    table = read_table(find(name, root))
    known = frozenset(field.name for field in fields(kind)) if is_dataclass(kind) else frozenset()
    for override in in_our_words(table, overrides, known):
        table = _overridden(table, override)
    return from_table(kind, table)


def find(name: str, root: Path = CONFIGS) -> Path:
    """Return the path of a configuration file.

    Raises:
        SettingsError: there is none; the message has similar names.
    """
    path = Path(name) if name.endswith(".toml") else root / f"{name}.toml"
    if not path.is_file():
        known = experiment_names(root)
        near = get_close_matches(name, known, n=3, cutoff=0.4) or known
        raise SettingsError(f"there is no configuration {name!r}", hint=f"use {', '.join(near)} or a path to a .toml")
    return path


def read_table(path: Path, *, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read the table of a file, merged over that of its base.

    Args:
        path: the file.
        above: files that inherit from this one.

    Raises:
        SettingsError: a file is missing or is not TOML.
    """
    try:
        table = read_toml(path)
    except FileNotFoundError as error:
        raise SettingsError("does not exist", where=path, hint="correct the key base that names it") from error
    except OSError as error:
        raise SettingsError(f"cannot be read ({error.strerror})", where=path, hint="check its permissions") from error
    except DocumentError as error:
        raise SettingsError(f"is not TOML ({error})", where=path, hint="correct that line") from error
    base = table.pop(BASE, None)
    if base is None:
        return table
    if not isinstance(base, str) or "\0" in base:
        raise SettingsError("its base is not a path", where=path, hint='write base = "FILE.toml"')
    file = path.parent / base
    if file.resolve() in {known.resolve() for known in (*above, path)}:
        raise SettingsError(f"inherits from itself through {base}", where=path, hint="correct the key base")
    return merged(read_table(file, above=(*above, path)), table)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge ``above`` over ``below`` recursively; a table of another ``kind`` replaces the one below."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        is_same_kind = isinstance(old, Mapping) and isinstance(value, Mapping) and _kind(value) in {None, _kind(old)}
        result[key] = merged(old, value) if is_same_kind and old is not None else value
    return result


def _kind(table: Mapping[str, Any]) -> object:
    return table.get("kind")


def _overridden(table: Mapping[str, Any], override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise SettingsError(f"{override!r} is not an override", hint="write key=value, for instance data.batch=4")
    try:
        value = parse_toml(f"value = {text}")["value"]
    except DocumentError:
        value = text
    for part in reversed(key.split(".")):
        value = {part: value}
    return merged(table, value)
