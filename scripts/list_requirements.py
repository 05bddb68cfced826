"""Print the project's requirements, one per line, for an environment that cannot install all of them.

Usage: list_requirements.py [EXTRA...] [--without NAME...]
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_EXTRAS_OF_OURS = re.compile(r"mdx-submission\[(.*)\]")


def extra_lines(extras: list[str], groups: dict[str, list[str]]) -> Iterator[str]:
    """Return the requirements of extras, with references to other extras resolved."""
    for extra in extras:
        for line in groups[extra]:
            own = _EXTRAS_OF_OURS.fullmatch(line)
            if own:
                yield from extra_lines(own.group(1).split(","), groups)
            else:
                yield line


def main() -> None:
    """Print requirements.txt and the given extras, without excluded names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extras", nargs="*")
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME")
    options = parser.parse_args()
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    base = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in base if line and not line.startswith("#")] + list(extra_lines(options.extras, groups))
    for line in dict.fromkeys(lines):
        name = _NAME.match(line)
        if name is None or name.group() not in options.without:
            print(line)


if __name__ == "__main__":
    main()
