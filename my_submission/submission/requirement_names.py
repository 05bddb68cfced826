"""requirements.txt and apt.txt as lists of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path

from my_submission.errors import InputError

CONSTRAINTS_NAME = "constraints.txt"
"""The versions that the tests ran with; a packed requirements.txt points to it."""

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=\S+)?")


def canonical(name: str) -> str:
    """A distribution's name as indices compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_lines(path: Path) -> dict[str, str]:
    """Canonical name to line, of every requirement in the file; options and comments are left out.

    Raises:
        InputError: the file is missing, or a line is no requirement.
    """
    found = {}
    for line in _lines(path):
        if line.startswith("-"):
            continue
        match = _REQUIREMENT.match(line)
        if match is None:
            raise InputError(f"the line {line!r} is no requirement", where=path, hint="correct or remove the line")
        found[canonical(match.group())] = line
    return found


def requirement_options(path: Path) -> list[str]:
    """Words of the file's lines that say where pip looks for packages, such as --extra-index-url.

    Raises:
        InputError: the file is missing or is not text.
    """
    places = ("--index-url", "-i", "--extra-index-url", "--find-links", "-f", "--no-index", "--trusted-host")
    words = [re.split(r"[=\s]+", line, maxsplit=1) for line in _lines(path) if line.startswith("-")]
    return [word for option in words if option[0] in places for word in option]


def debian_packages(path: Path) -> list[str]:
    """Package names, one a line.

    Raises:
        InputError: the file is missing, or a line is no package name.
    """
    names = _lines(path)
    for name in names:
        if not _DEBIAN_PACKAGE.fullmatch(name):
            hint = "write one Debian package a line and nothing else"
            raise InputError(f"the line {name!r} is no Debian package", where=path, hint=hint)
    return names


def distributions_of(library: str) -> set[str]:
    """Canonical names of the distributions that bring a library; its own name where none is installed."""
    return {canonical(name) for name in _installed_distributions().get(library, [library])}


@lru_cache(maxsize=1)
def _installed_distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


def _lines(path: Path) -> list[str]:
    if path.exists() and not path.is_file():  # reading a named pipe would wait for ever
        raise InputError("is no ordinary file", where=path, hint="put a text file in its place")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError("is missing", where=path, hint="write it, empty if nothing is needed") from error
    except UnicodeDecodeError as error:
        raise InputError(f"is not text ({error})", where=path, hint="write it anew as UTF-8") from error
    stripped = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]
