"""``--part``: all parts together run each test once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests import parts


def kept(part: str | None, names: list[str]) -> list[str]:
    """Names of the tests that a run with ``--part`` keeps."""
    items = [Item(name) for name in names]
    deselected: list[Item] = []

    def deselect(items: list[Item]) -> None:
        deselected.extend(items)

    config = SimpleNamespace(getoption=lambda _: part, hook=SimpleNamespace(pytest_deselected=deselect))
    parts.pytest_collection_modifyitems(config, items)
    assert sorted(item.nodeid for item in [*items, *deselected]) == sorted(names)
    return [item.nodeid for item in items]


class Item:
    """What the plugin reads of a test."""

    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid


NAMES = [f"tests/test_{file}.py::test_{number}[{number}-x]" for file in "abc" for number in range(60)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_parts_share_the_tests_of_every_file(count: int) -> None:
    shares = [kept(f"{number}/{count}", NAMES) for number in range(1, count + 1)]
    assert sorted(name for share in shares for name in share) == sorted(NAMES)
    for share in shares:
        for file in "abc":
            assert sum(f"test_{file}.py" in name for name in share) > 0.5 * 60 / count


def test_without_the_option_all_tests_run_in_their_order() -> None:
    assert kept(None, NAMES) == NAMES


@pytest.mark.parametrize("part", ["2", "0/2", "3/2", "a/b", "1/0", "-1/2"])
def test_another_form_is_refused(part: str) -> None:
    with pytest.raises(pytest.UsageError, match="K/N"):
        kept(part, NAMES)
