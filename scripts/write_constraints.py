"""Write constraints.txt from pip freeze; Pythons without a file keep their versions.

Usage: write_constraints.py CONSTRAINTS VERSION=FREEZE_FILE...
"""

from __future__ import annotations

import sys
from pathlib import Path

from my_submission.doctor.constraints import Constraints, constraint_lines, read_constraints
from my_submission.submission.requirement_names import canonical

OURS = "mdx-submission"


def frozen(path: Path) -> dict[str, str]:
    """Return versions by canonical name, without local parts such as ``+cpu``."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, is_pinned, version = line.partition("==")
        if is_pinned and canonical(name) != OURS:
            found[canonical(name)] = version.partition("+")[0]
    return found


def main() -> None:
    """Write the file and print the changes."""
    target = Path(sys.argv[1])
    old = read_constraints(target) if target.is_file() else Constraints((), {})
    new = {python: frozen(Path(path)) for python, path in (argument.split("=", 1) for argument in sys.argv[2:])}
    pythons = sorted({*old.pythons, *new}, key=lambda python: int(python.partition(".")[2]))
    packages: dict[str, dict[str, str]] = {}
    for python in pythons:
        kept = {name: tested[python] for name, tested in old.packages.items() if python in tested}
        for name, version in new.get(python, kept).items():
            packages.setdefault(name, {})[python] = version
            before = old.packages.get(name, {}).get(python)
            if before != version:
                print(f"Python {python}: {name} {before or 'new'} -> {version}")
    constraints = Constraints(tuple(pythons), packages)
    target.write_text("\n".join(constraint_lines(constraints)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
