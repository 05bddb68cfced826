"""Megabytes and seconds of an installation: the base, every extra, and other programs, each in a new environment.

Megabytes are those of the whole virtual environment, with pip and compiled bytecode. Seconds are those of ``pip
install`` with the packages in pip's cache: each is installed once before, unless --cold is given.

Usage: python -m benchmarks.install_sizes [NAME...] [--cold] [--json FILE]
NAME is base, an extra, or another program: demucs-onnx, demucs. Needs a package index; everything is deleted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.processes import circumstances

ROOT = Path(__file__).resolve().parents[1]
OTHERS = {
    "demucs-onnx": ["demucs-onnx"],
    "demucs": [
        next(line for line in (ROOT / "requirements.txt").read_text().split("\n") if line[:5] == "torch"),
        "demucs",
    ],
}
"""Other programs, with torch's CPU build where they need torch."""

FOR_DEVELOPERS = {"bench", "dev", "test"}


@dataclass(frozen=True)
class Installation:
    """Size and duration of an installation.

    Attributes:
        name: "base", an extra, or another program.
        megabytes: size of the whole environment, 10^6 bytes.
        seconds: of ``pip install``.
        n_distributions: installed ones, without pip and setuptools.
    """

    name: str
    megabytes: float
    seconds: float
    n_distributions: int


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder, links not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def install(name: str, wheel: Path, constraints: list[str]) -> Installation:
    """Install into a new environment, measure it and delete it."""
    wanted = OTHERS.get(name) or [str(wheel) if name == "base" else f"{wheel}[{name}]"]
    with tempfile.TemporaryDirectory(prefix=f"install-{name}-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        start = time.perf_counter()
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *constraints, *wanted]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        listed = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True)
        return Installation(name, size_of(Path(folder)) / 1e6, seconds, len(listed.stdout.splitlines()))


def main() -> int:
    """Print a table, and write the rows with the circumstances as JSON where asked."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    names = ["base", *(extra for extra in extras if extra not in FOR_DEVELOPERS), *OTHERS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument("--cold", action="store_true", help="measure the first installation, downloads included")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    chosen = options.names or names
    if unknown := set(chosen) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (wheel,) = Path(folder).glob("*.whl")
        for name in chosen:
            pins = ["-c", str(ROOT / "constraints.txt")] if name not in OTHERS else []
            if not options.cold:
                install(name, wheel, pins)
            rows.append(install(name, wheel, pins))
            print(rows[-1], file=sys.stderr)
    table = Table("installation", "MB", "s", "distributions")
    for row in rows:
        table.add_row(row.name, f"{row.megabytes:.0f}", f"{row.seconds:.0f}", str(row.n_distributions))
    Console().print(table)
    if options.json:
        document = {"circumstances": circumstances(), "is_cold": options.cold, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
