"""A notebook as a page: its texts, its code, and what the cells show."""

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
        if cell["cell_type"] == "markdown":
            yield text
            continue
        yield f"```python\n{text}\n```"
        yield from map(_shown, cell["outputs"])


def _shown(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return _as_text("".join(output["text"]))
    data = {kind: "".join(value) for kind, value in output["data"].items()}
    if "text/html" in data:
        return f'<div class="output">{data["text/html"]}</div>'
    return _as_text(data["text/plain"])


def _as_text(text: str) -> str:
    return f"```{{ .text .output }}\n{text.rstrip()}\n```"
