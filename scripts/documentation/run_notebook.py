"""Runs a notebook and keeps what its cells show: ``python -m scripts.documentation.run_notebook docs/tutorial.ipynb``.

The cells run in a new folder, in this process. Their printed output and the value of their last line are kept as in
Jupyter. Log messages are not kept, nor is a value before a semicolon. The hash of the code is kept too, so that a
test notices outputs of other code.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import io
import json
import os
import sys
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

from scripts.documentation.links import ROOT
from scripts.documentation.notebook_page import code_cells

HASH = "hash_of_executed_code"
"""Key in the notebook's metadata."""

COLUMNS = "100"
"""Width of the terminal that the cells see."""


def code_hash(path: Path) -> str:
    """Return a hash of the code of all cells."""
    return hashlib.sha256(json.dumps(code_cells(path)).encode()).hexdigest()


def run_notebook(path: Path, out: Path) -> None:
    """Run the cells of a notebook in a new folder, and write it with their outputs.

    Args:
        path: the notebook.
        out: where the executed one is written; may be the same.
    """
    notebook = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for number, cell in enumerate(cells, start=1):
            cell |= {"execution_count": number, "outputs": _outputs("".join(cell["source"]), names, number)}
    notebook["metadata"][HASH] = code_hash(path)
    out.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _outputs(code: str, names: dict[str, Any], number: int) -> list[dict[str, Any]]:
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(tree, f"cell {number}", "exec"), names)
        shown = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names) if last else None
    found: list[dict[str, Any]] = []
    if text := printed.getvalue().replace(f"{ROOT}/", "").replace(f"{Path.cwd()}/", ""):
        found.append({"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)})
    if isinstance(shown, int) and shown:
        raise SystemExit(f"cell {number} ended with the exit code {shown}:\n{printed.getvalue()}")
    if shown is not None and not code.rstrip().endswith(";"):
        data = {"text/plain": f"<{type(shown).__name__}>" if hasattr(shown, "_repr_html_") else repr(shown)}
        if hasattr(shown, "_repr_html_"):
            data["text/html"] = shown._repr_html_()
        found.append({"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": data})
    return found


def main() -> None:
    """Run a notebook."""
    parser = argparse.ArgumentParser(description="Run a notebook and keep what its cells show.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--out", type=Path, help="default: the notebook itself")
    options = parser.parse_args()
    os.environ |= {"COLUMNS": COLUMNS, "OMP_NUM_THREADS": "1"}
    run_notebook(options.notebook.resolve(), (options.out or options.notebook).resolve())


if __name__ == "__main__":
    sys.exit(main())
