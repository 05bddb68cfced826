"""A notebook as a page: its texts and its code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def code_cells(path: Path) -> list[str]:
    """Return the code of each cell."""
    return ["".join(cell["source"]) for cell in _cells(path) if cell["cell_type"] == "code"]


def notebook_page(path: Path) -> str:
    """Return the notebook as Markdown."""
    return "\n\n".join(_parts(path)) + "\n"


def _cells(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def _parts(path: Path) -> Iterator[str]:
    for cell in _cells(path):
        text = "".join(cell["source"])
        yield text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
