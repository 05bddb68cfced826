"""``pytest --part 1/2`` runs one part of the tests. All parts together run each test once, each some of every file."""

from __future__ import annotations

import zlib

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--part", metavar="K/N", help="run only the K-th of N parts of the tests, such as 1/2")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the part; which one a test belongs to depends on its name alone."""
    part = config.getoption("--part")
    if part is None:
        return
    number, count = _read(part)
    kept = [item for item in items if zlib.crc32(item.nodeid.encode()) % count == number - 1]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def _read(part: str) -> tuple[int, int]:
    number, slash, count = part.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise pytest.UsageError(f"--part {part}: write K/N with K from 1 to N, such as 1/2")
    return int(number), int(count)
