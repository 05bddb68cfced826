"""The one way in which tests are left out where a library is not installed: said with its name, and counted.

A test file whose import needs such a library is left out as a whole. A test that needs one later is marked
``@pytest.mark.needs("torch")``; a fixture calls ``require("torch")``. Any other ModuleNotFoundError fails, so that
nothing begins to need a library unnoticed.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

LIBRARIES = (
    "torch",
    "lightning",
    "pedalboard",
    "pyloudnorm",
    "mido",
    "pyworld",
    "librosa",
    "musdb",
    "museval",
    "julius",
    "mkdocs",
)
"""Those of which some environments have none: the ones for other Pythons, a container of the challenge."""

ABSENT = frozenset(name for name in LIBRARIES if importlib.util.find_spec(name) is None)
_REASON = "needs {}, which is not installed"


class OptionalModule(pytest.Module):
    """A test file that is left out where its import needs an absent library."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """The tests of the file."""
        try:
            return super().collect()
        except self.CollectError as error:
            cause = error.__cause__
            name = (cause.name or "").partition(".")[0] if isinstance(cause, ModuleNotFoundError) else ""
            if name not in ABSENT:
                raise
            # The file's name, since pytest-xdist reports equal reasons once.
            pytest.skip(f"{self.path.name} {_REASON.format(name)}", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Collect every test file as one that may need what is not here."""
    return OptionalModule.from_parent(parent, path=module_path)


def require(name: str) -> None:
    """Leave out the test that runs, or whose fixture this is, where the library is absent."""
    assert name in LIBRARIES, f"{name} is not among those that may be absent"
    if name in ABSENT:
        pytest.skip(_REASON.format(name))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out a test that is marked as needing an absent library."""
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            require(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which files and how many tests were left out, and for want of which library."""
    reports = terminalreporter.stats.get("skipped", [])
    for name in sorted(ABSENT):
        left_out = [report for report in reports if _REASON.format(name) in str(report.longrepr)]
        files = sorted(Path(report.nodeid).stem for report in left_out if isinstance(report, pytest.CollectReport))
        if left_out:
            n_tests = len(left_out) - len(files)
            summary = f"{name} is not installed, so {len(files)} test files and {n_tests} other tests were not run"
            terminalreporter.write_line(f"{summary}{': ' * bool(files)}{', '.join(files)}")
        if _failed_for_want_of(name, terminalreporter):
            terminalreporter.write_line(
                f"a test failed because {name} is not installed: if it is meant to need it, mark it "
                f'@pytest.mark.needs("{name}"); if not, something began to import it'
            )


def _failed_for_want_of(name: str, reporter: pytest.TerminalReporter) -> bool:
    failed = (*reporter.stats.get("failed", []), *reporter.stats.get("error", []))
    return any(re.search(rf"ModuleNotFoundError: .*\b{name}\b", str(report.longrepr)) for report in failed)
