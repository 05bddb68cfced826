"""``--part`` and ``--one-case``: all parts together run each test once, or one case of each function."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests import parts

NAMES = [f"tests/test_{file}.py::test_{number}[{case}-x]" for file in "abc" for number in range(60) for case in (0, 1)]


class Item:
    """What the plugin reads of a test."""

    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid


def kept(part: str | None, *, one_case: bool = False) -> list[str]:
    """Names of the tests that a run with these options keeps."""
    items = [Item(name) for name in NAMES]
    deselected: list[Item] = []

    def deselect(items: list[Item]) -> None:
        deselected.extend(items)

    options = {"--part": part, "--one-case": one_case}
    config = SimpleNamespace(getoption=options.get, hook=SimpleNamespace(pytest_deselected=deselect))
    parts.pytest_collection_modifyitems(config, items)
    assert sorted(item.nodeid for item in [*items, *deselected]) == sorted(NAMES)
    return [item.nodeid for item in items]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("one_case", [False, True])
def test_parts_share_the_functions_of_every_file(count: int, one_case: bool) -> None:
    shares = [kept(f"{number}/{count}", one_case=one_case) for number in range(1, count + 1)]
    expected = [name for name in NAMES if not one_case or "[0-" in name]
    assert sorted(name for share in shares for name in share) == sorted(expected)
    for share in shares:
        for file in "abc":
            assert sum(f"test_{file}.py" in name for name in share) > 0.5 * len(expected) / 3 / count


def test_without_options_all_tests_run_in_their_order() -> None:
    assert kept(None) == NAMES


@pytest.mark.parametrize("part", ["2", "0/2", "3/2", "a/b", "1/0", "-1/2"])
def test_another_form_is_refused(part: str) -> None:
    with pytest.raises(pytest.UsageError, match="K/N"):
        kept(part)
