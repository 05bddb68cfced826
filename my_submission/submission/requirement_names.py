"""Reads requirements.txt and apt.txt as lists of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path

from my_submission.errors import InputError

CONSTRAINTS_NAME = "constraints.txt"
"""File of the versions that the tests ran with; a packed requirements.txt refers to it."""

ALTERNATIVES = {"onnxruntime": frozenset({"onnxruntime", "onnxruntime-gpu"})}
"""Library to the distributions that contain it. A submission requires the GPU build, and others may be installed."""

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=\S+)?")


def canonical(name: str) -> str:
    """Return the normalised name of a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_lines(path: Path) -> dict[str, str]:
    """Return canonical name to line for every requirement in the file, without options and comments.

    Raises:
        InputError: the file is missing, or a line is not a requirement.
    """
    found = {}
    for line in _lines(path):
        if line.startswith("-"):
            continue
        match = _REQUIREMENT.match(line)
        if match is None:
            raise InputError(f"the line {line!r} is not a requirement", where=path, hint="correct or remove the line")
        found[canonical(match.group())] = line
    return found


def requirement_options(path: Path) -> list[str]:
    """Return the words of the file's options for package sources, such as --extra-index-url.

    Raises:
        InputError: the file is missing or is not text.
    """
    known = ("--index-url", "-i", "--extra-index-url", "--find-links", "-f", "--no-index", "--trusted-host")
    words = [re.split(r"[=\s]+", line, maxsplit=1) for line in _lines(path) if line.startswith("-")]
    return [word for option in words if option[0] in known for word in option]


def debian_packages(path: Path) -> list[str]:
    """Return the package names in a file with one name per line.

    Raises:
        InputError: the file is missing, or a line is not a package name.
    """
    names = _lines(path)
    for name in names:
        if not _DEBIAN_PACKAGE.fullmatch(name):
            hint = "write one Debian package name per line"
            raise InputError(f"the line {name!r} is not a Debian package name", where=path, hint=hint)
    return names


def distributions_of(library: str) -> set[str]:
    """Return the canonical names of the distributions with a library: the installed ones and their alternatives.

    A library that is not installed counts as one of its own name.
    """
    installed = {canonical(name) for name in _installed_distributions().get(library, [library])}
    return installed | ALTERNATIVES.get(library, frozenset())


@lru_cache(maxsize=1)
def _installed_distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


def _lines(path: Path) -> list[str]:
    if path.exists() and not path.is_file():  # reading a named pipe would block
        raise InputError("is not an ordinary file", where=path, hint="replace it by a text file")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError("is missing", where=path, hint="create it, empty if nothing is needed") from error
    except UnicodeDecodeError as error:
        raise InputError(f"is not text ({error})", where=path, hint="save it as UTF-8") from error
    stripped = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]
