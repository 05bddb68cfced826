"""Runs a part of the tests: ``--part 1/2`` half of the test functions, ``--one-case`` one case of each function.

All parts together run each function once, and each part some of every file.
"""

from __future__ import annotations

import zlib

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.addoption("--part", metavar="K/N", help="run only the K-th of N parts of the test functions, such as 1/2")
    parser.addoption("--one-case", action="store_true", help="run only the first case of each test function")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the part; which one a function belongs to depends on its name alone."""
    number, count = _read(config.getoption("--part"))
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    seen: set[str] = set()
    for item in items:
        function = item.nodeid.partition("[")[0]
        is_further_case = config.getoption("--one-case") and function in seen
        seen.add(function)
        is_kept = zlib.crc32(function.encode()) % count == number - 1 and not is_further_case
        (kept if is_kept else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def _read(part: str | None) -> tuple[int, int]:
    number, slash, count = (part or "1/1").partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise pytest.UsageError(f"--part {part}: write K/N with K from 1 to N, such as 1/2")
    return int(number), int(count)
