"""Reads JSON that anybody may have written: bounded in size and depth, numbers finite, no key twice.

The library has a reader of the same rules. This one exists because the evaluator imports nothing of the library.
"""

from __future__ import annotations

import codecs
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

MAX_BYTES = 64 << 20
"""A scores file takes about 250 bytes per song and metric of four sources: this is a quarter of a million songs."""

MAX_DEPTH = 32
"""Levels of lists and objects. Scores files have six; recursion ends at about 300."""

MAX_VALUES = 4_000_000
"""Numbers, texts, lists and objects in one document."""

_INTEGER_LIMIT = 2**63
_TOO_LARGE = "holds an integer of more than 64 bits"


class DocumentError(ValueError):
    """The document cannot be used; the message is one clause that says why."""


def read_json(path: Path) -> Any:
    """Return the document in a file.

    Raises:
        OSError: the file cannot be read.
        DocumentError: it is too large, not UTF-8, not strict JSON, nested too deeply, or repeats a key.
    """
    with path.open("rb") as file:
        return parse_json(file.read(MAX_BYTES + 1))


def parse_json(content: bytes) -> Any:
    """Return the document in JSON text; DocumentError as :func:`read_json`."""
    if len(content) > MAX_BYTES:
        raise DocumentError(f"has more than {MAX_BYTES >> 20} MiB")
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DocumentError("begins with a byte order mark: save it as UTF-8 without one")
    if sum(content.count(sign) for sign in (b",", b"[", b"{")) > MAX_VALUES:
        raise DocumentError(f"holds more than {MAX_VALUES} values")
    try:
        text = content.decode("utf-8")
        document = json.loads(text, object_pairs_hook=_object_of, parse_constant=_refuse_constant)
    except DocumentError:
        raise
    except UnicodeDecodeError as error:
        raise DocumentError(f"is not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise DocumentError(str(error)) from error
    except RecursionError:
        raise DocumentError(f"is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError as error:  # of the conversion of thousands of digits
        raise DocumentError(_TOO_LARGE) from error
    _check_values(document)
    return document


def _check_values(document: object) -> None:
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        for value in level:
            if isinstance(value, float) and not math.isfinite(value):
                raise DocumentError(f"holds {value}, which is no finite number")
            if isinstance(value, int) and abs(value) >= _INTEGER_LIMIT:
                raise DocumentError(_TOO_LARGE)
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise DocumentError(f"is nested more than {MAX_DEPTH} levels deep")


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = sorted(key for key, _ in pairs)
        repeated = next(name for name, following in pairwise(names) if name == following)
        raise DocumentError(f"{repeated[:80]!r} stands twice in one object")
    return document


def _refuse_constant(name: str) -> None:
    raise DocumentError(f"holds {name}, which is no finite number")
