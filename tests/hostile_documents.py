"""Documents that anybody may have written: what every reader must refuse, and every change of type in a good one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DEEP = b"[" * 200_000

HOSTILE_JSON = {
    "nested without an end": DEEP,
    "nested": DEEP + b"]" * 200_000,
    "nested objects": b'{"a":' * 200_000,
    "400 digits": b"1" * 400,
    "5000 digits": b'{"schema": ' + b"1" * 5000 + b"}",
    "Infinity": b'{"schema": Infinity}',
    "NaN": b'{"schema": NaN}',
    "1e400": b'{"schema": 1e400}',
    "a key twice": b'{"schema": 1, "schema": 2}',
    "not UTF-8": b'{"schema": "\xff\xfe"}',
    "UTF-16": '{"schema": 1}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "nothing": b"",
    "a list": b"[1, 2]",
    "a number": b"7",
    "null": b"null",
    "text": b'"schema"',
    "cut": b'{"schema": 1, "metr',
    "too many values": b"[" + b"1," * 4_000_001 + b"1]",
}

OTHER_TYPES: tuple[Any, ...] = (None, True, -7, 1e300, "", "x" * 9, [], [[]], {}, {"a": {}})


def with_swapped_types(document: Any) -> Iterator[Any]:
    """Yield a document once for every value in it and every other type of that value; it is changed and restored."""
    yield from OTHER_TYPES
    holders = [document]
    while holders:
        holder = holders.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            value = holder[key]
            for other in OTHER_TYPES:
                holder[key] = other
                yield document
            holder[key] = value
            if isinstance(holder, dict):
                del holder[key]
                yield document
                holder[key] = value
            if isinstance(value, dict | list):
                holders.append(value)
