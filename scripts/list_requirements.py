"""Print requirements of the project, one per line: those of its base, or of the submission, and of extras.

Usage: list_requirements.py [EXTRA...] [--submission | --gpu] [--without NAME...]
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


def submission_lines() -> list[str]:
    """Return the requirements of the challenge submission."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def main() -> None:
    """Print the requirements of the base or the submission and of the given extras, without excluded names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extras", nargs="*")
    base_choice = parser.add_mutually_exclusive_group()
    base_choice.add_argument("--submission", action="store_true", help="requirements.txt instead of the base")
    base_choice.add_argument("--gpu", action="store_true", help="the base with the runtime of the extra gpu as its own")
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME")
    options = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    base = submission_lines() if options.submission else project["dependencies"]
    if options.gpu:
        base = [*extras["gpu"], *(line for line in base if not line.startswith("onnxruntime"))]
    for line in dict.fromkeys([*base, *extra_lines(options.extras, extras)]):
        name = _NAME.match(line)
        if name is None or name.group() not in options.without:
            print(line)


if __name__ == "__main__":
    main()
