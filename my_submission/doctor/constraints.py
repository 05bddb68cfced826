"""Compares installed versions with those that the tests ran with (constraints.txt)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from my_submission.errors import InputError
from my_submission.submission.findings import Finding, fact, warning
from my_submission.submission.requirement_names import CONSTRAINTS_NAME, canonical

CONSTRAINTS_PATH = Path(__file__).resolve().parents[2] / CONSTRAINTS_NAME
"""The file is beside the package in a clone and in a packed submission; an installed package has none."""

_PYTHONS = re.compile(r"# Pythons: ([\d. ]+)")
_LINE = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?:; (?P<marker>[^#]*?))?(?:  # on (?P<pythons>[\d. ]+))?")


@dataclass(frozen=True)
class Constraints:
    """Versions that the tests ran with.

    Attributes:
        pythons: versions of Python, such as "3.11".
        packages: canonical name to Python to version.
    """

    pythons: tuple[str, ...]
    packages: Mapping[str, Mapping[str, str]]


def read_constraints(path: Path) -> Constraints:
    """Read constraints.txt.

    Raises:
        InputError: a line is not in the format of scripts/update-dependencies.
    """
    pythons: tuple[str, ...] = ()
    packages: dict[str, dict[str, str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line:
            named = _PYTHONS.fullmatch(line)
            pythons = tuple(named.group(1).split()) if named else pythons
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            hint = "write the file again with scripts/update-dependencies"
            raise InputError(f"the line {line!r} is not a tested version", where=path, hint=hint)
        tested = match["pythons"].split() if match["pythons"] else pythons
        packages.setdefault(canonical(match["name"]), {}).update(dict.fromkeys(tested, match["version"]))
    return Constraints(pythons, packages)


def constraint_lines(constraints: Constraints) -> list[str]:
    """Return the lines of constraints.txt.

    A version that was tested on some Pythons only also applies to Pythons without a tested version, as the best guess;
    the line names the Pythons it was tested on.
    """
    lines = [
        "# Versions that the tests ran with, written by scripts/update-dependencies: pip install -c constraints.txt",
        f"# Pythons: {' '.join(constraints.pythons)}",
    ]
    for name, versions in sorted(constraints.packages.items()):
        pythons_of: dict[str, list[str]] = {}
        for python in constraints.pythons:
            if python in versions:
                pythons_of.setdefault(versions[python], []).append(python)
        for version, pythons in pythons_of.items():
            marker, comment = "", ""
            if len(pythons_of) > 1:
                marker = "; " + " or ".join(f'python_version == "{python}"' for python in pythons)
            if pythons != list(constraints.pythons):
                comment = f"  # on {' '.join(pythons)}"
            lines.append(f"{name}=={version}{marker}{comment}")
    return lines


def installed_versions() -> dict[str, str]:
    """Return canonical name to version of every installed distribution, without local parts such as ``+cpu``."""
    return {
        canonical(found.metadata["Name"]): found.version.partition("+")[0]
        for found in metadata.distributions()
        if found.metadata["Name"]
    }


def version_findings(
    path: Path = CONSTRAINTS_PATH, python: str | None = None, installed: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """Warn about a Python and about versions that the tests never ran with.

    Args:
        python: version such as "3.12"; by default the running one.
        installed: canonical name to version; by default those of this environment.
    """
    if not path.is_file():
        yield fact("versions", f"there is no {CONSTRAINTS_NAME}, so installed versions were not compared with it")
        return
    constraints = read_constraints(path)
    python = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    if python not in constraints.pythons:
        text = f"Python {python} was never tested; the tests ran on {', '.join(constraints.pythons)}"
        yield warning(
            "versions", text, f"create the environment again: PYTHON=python{constraints.pythons[-1]} scripts/setup"
        )
        return
    present = {
        name: version for name, version in (installed or installed_versions()).items() if name in constraints.packages
    }
    others, elsewhere = [], []
    for name, version in sorted(present.items()):
        known = constraints.packages[name]
        if known.get(python, version) != version or version not in known.values():
            others.append(f"{name} {version} ({known.get(python) or ', '.join(sorted(set(known.values())))})")
        elif python not in known:
            elsewhere.append(f"{name} {version}")
    if others:
        hint = f"pip install -r requirements.txt -c {CONSTRAINTS_NAME}, or run the tests with these: scripts/test"
        yield warning("versions", f"not tested (tested versions in brackets): {', '.join(others)}", hint)
    if elsewhere:
        yield fact("versions", f"tested on another Python only: {', '.join(elsewhere)}")
    if not others:
        text = (
            f"the tests ran on Python {python} with the versions of {len(present) - len(elsewhere)} installed packages"
        )
        yield fact("versions", text)
