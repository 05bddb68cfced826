"""Ask the package index whether the base and the extras can be installed from wheels on every platform.

Usage: check_platforms.py [EXTRA...] [--python 3.12 ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
BASE = "base"
FOR_DEVELOPERS = {"all", "bench", "dev", "docs", "test"}
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = {
    "Linux x86-64": ("manylinux_2_31_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "Linux aarch64": (
        "manylinux_2_31_aarch64",
        "manylinux_2_28_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
    ),
    "macOS arm64": ("macosx_14_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64"),
    "Windows x86-64": ("win_amd64",),
}
"""Platform to pip's tags of wheels that it takes: glibc 2.31 (Debian 11, Ubuntu 20.04) and macOS 14."""


def requirements(extra: str) -> list[str]:
    """Return the requirements of the base, or of the base with an extra."""
    command = [sys.executable, str(ROOT / "scripts/list_requirements.py"), *([] if extra == BASE else [extra])]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def obstacle(extra: str, python: str, tags: tuple[str, ...]) -> str:
    """Return why pip cannot install an extra from wheels there; empty if it can."""
    options = ["--dry-run", "--quiet", "--ignore-installed", "--only-binary=:all:", "--python-version", python]
    with tempfile.TemporaryDirectory() as target:
        command = [sys.executable, "-m", "pip", "install", *options, "--target", target]
        command += [word for tag in tags for word in ("--platform", tag)]
        done = subprocess.run([*command, *requirements(extra)], capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: No matching distribution")]
    if done.returncode == 0:
        return ""
    return errors[0].rpartition(" for ")[2] if errors else (done.stderr.strip().splitlines() or ["no reason"])[-1][:60]


def main() -> int:
    """Print a table of extras and platforms; return 1 if the base cannot be installed somewhere."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [BASE, *sorted(set(project["optional-dependencies"]) - FOR_DEVELOPERS)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument("--python", nargs="+", choices=PYTHONS, default=PYTHONS)
    options = parser.parse_args()
    extras = options.extras or names
    if unknown := set(extras) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    table = Table("extra", "Python", *PLATFORMS)
    n_failed = 0
    for extra in extras:
        for python in options.python:
            with ThreadPoolExecutor(2) as pool:
                found = list(pool.map(lambda tags, p=python, e=extra: obstacle(e, p, tags), PLATFORMS.values()))
            cells = [f"no wheel of {reason}" if reason else "yes" for reason in found]
            table.add_row(extra, python, *cells)
            print(extra, python, *cells, sep="; ", file=sys.stderr)
            n_failed += extra == BASE and any(found)
    Console().print(table)
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
