"""Strict reader of small JSON and TOML documents from untrusted sources, and of values that another parser made.

A document that is read here is bounded in size and depth, repeats no key and contains only finite numbers.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

MAX_JSON_BYTES = 16 << 20
"""Manifests and reports take kilobytes; the reports of ten thousand songs in one file stay below this."""

MAX_TOML_BYTES = 256 << 10
"""Settings are written by hand, and the parser of the standard library is slow."""

MAX_DEPTH = 64
"""Levels of lists and tables. Documents of this program have six; recursive parsers end at about 300."""

MAX_VALUES = 4_000_000
"""Numbers, texts, lists and tables in one document: about 300 MB where all of them are empty lists."""

_INTEGER_LIMIT = 2**63
"""Larger integers fit no counter, and conversion to a float may fail."""

_TOO_LARGE = "contains an integer of more than 64 bits"

_KEY_SEPARATORS = re.compile(r"[=,{}\[\]\n]")

T = TypeVar("T")


class DocumentError(ValueError):
    """The document cannot be used.

    Args:
        problem: what is wrong, as one clause.
        place: where in the document, such as ``data.songs[2]``; empty for the document as a whole.
        hint: what to do about it, as one clause.
    """

    def __init__(self, problem: str, *, place: str = "", hint: str | None = None) -> None:
        super().__init__(f"{place}: {problem}" if place else problem)
        self.hint = hint


def read_json(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Return the JSON document in a file.

    Args:
        path: the file.
        max_bytes: size in bytes above which it is refused.

    Raises:
        OSError: the file cannot be read.
        DocumentError: it is too large, not UTF-8, not strict JSON, nested too deeply, or repeats a key.
    """
    return parse_json(read_bounded(path, max_bytes=max_bytes))


def read_toml(path: Path) -> dict[str, Any]:
    """Return the TOML document in a file; errors as :func:`read_json`."""
    return parse_toml(read_bounded(path, max_bytes=MAX_TOML_BYTES))


def read_json_lines(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> list[dict[str, Any]]:
    """Return the objects in a file of one JSON object per line.

    A last line without its end is left out: a process that is killed while it writes leaves one.

    Raises:
        OSError: the file cannot be read.
        DocumentError: as :func:`read_json`, or a line contains anything but an object.
    """
    *lines, _ = decoded(read_bounded(path, max_bytes=max_bytes)).split("\n")
    documents = [parse_json(line) for line in lines if line.strip()]
    if not all(isinstance(document, dict) for document in documents):
        raise DocumentError("contains a line that is not a JSON object")
    return documents


def parse_json(content: bytes | str, *, max_bytes: int | None = None) -> Any:
    """Return the document in JSON text, of any size unless ``max_bytes`` is given; errors as :func:`read_json`."""
    if max_bytes is not None and len(content) > max_bytes:
        raise DocumentError(f"has more than {max_bytes / 2**20:g} MiB")
    text = decoded(content)
    if sum(text.count(sign) for sign in ",[{") > MAX_VALUES:
        raise DocumentError(f"contains more than {MAX_VALUES} values")
    return checked_values(
        _parsed(lambda: json.loads(text, object_pairs_hook=_object_of, parse_constant=_refuse_constant))
    )


def parse_toml(content: bytes | str) -> dict[str, Any]:
    """Return the table in TOML text; DocumentError as :func:`read_json`, but for the size in bytes."""
    text = decoded(content)
    if any(part.count(".") > MAX_DEPTH for part in _KEY_SEPARATORS.split(text)):
        raise DocumentError(f"has a key of more than {MAX_DEPTH} parts")  # time grows with their number cubed
    table: dict[str, Any] = checked_values(_parsed(lambda: tomllib.loads(text)))
    return table


def checked_values(document: T) -> T:
    """Return a parsed document whose depth, number of values and numbers are within bounds.

    A value that occurs in several places, as YAML's aliases allow, counts at each of them.

    Raises:
        DocumentError: a bound is exceeded.
    """
    level: list[Any] = [document]
    n_values, depth = 1, 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise DocumentError(f"is nested more than {MAX_DEPTH} levels deep")
        below: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                below.extend(value.values())
            elif isinstance(value, list | tuple | set):
                below.extend(value)
            elif isinstance(value, float) and not math.isfinite(value):
                raise DocumentError(f"contains {value}, which is not a finite number")
            elif isinstance(value, int) and abs(value) >= _INTEGER_LIMIT:
                raise DocumentError(_TOO_LARGE)
            if n_values + len(below) > MAX_VALUES:
                raise DocumentError(f"contains more than {MAX_VALUES} values")
        n_values += len(below)
        level = below
    return document


def read_bounded(path: Path, *, max_bytes: int) -> bytes:
    """Return the bytes of a file.

    Raises:
        OSError: it cannot be read.
        DocumentError: it has more than ``max_bytes``.
    """
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise DocumentError(f"has more than {max_bytes / 2**20:g} MiB")
    return content


def decoded(content: bytes | str) -> str:
    """Return UTF-8 as text.

    Raises:
        DocumentError: it is not UTF-8, or begins with a byte order mark, which other programs refuse.
    """
    if isinstance(content, str):
        return content
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DocumentError("begins with a byte order mark: save it as UTF-8 without one")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(f"is not UTF-8 text (byte {error.start})") from error


def _parsed(parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except DocumentError:
        raise
    except RecursionError:
        raise DocumentError(f"is nested more than {MAX_DEPTH} levels deep") from None
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise DocumentError(" ".join(str(error).split())[:200]) from error
    except ValueError as error:  # of the conversion of thousands of digits
        raise DocumentError(_TOO_LARGE) from error


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = sorted(key for key, _ in pairs)
        repeated = next(name for name, following in pairwise(names) if name == following)
        raise DocumentError(f"{repeated[:80]!r} appears twice in one object")
    return table


def _refuse_constant(name: str) -> None:
    raise DocumentError(f"contains {name}, which is not a finite number")
