"""The tutorial runs from its first cell to its last, in a folder without songs, as a reader would run it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.documentation.notebook_page import code_cells

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs/tutorial.ipynb"

RUNNER = """
import ast, json, sys
names = {}
for cell in json.load(sys.stdin):
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None
    assert not isinstance(shown, int) or shown == 0, (cell, shown)  # the exit code of a command
    if hasattr(shown, "_repr_html_"):
        print("shown:", shown._repr_html_().count("<audio"), "players")
"""
"""Runs the cells as a notebook does: the value of the last line is shown."""


def test_the_notebook_has_no_outputs_and_its_cells_are_python() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
    assert len(code_cells(NOTEBOOK)) >= 8
    for cell in code_cells(NOTEBOOK):
        ast.parse(cell)


@pytest.mark.slow
@pytest.mark.needs("lightning")
def test_the_tutorial_runs(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        cwd=tmp_path,
        env=environment,
        input=json.dumps(code_cells(NOTEBOOK)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shown = [line for line in done.stdout.splitlines() if line.startswith("shown:")]
    assert shown == ["shown: 4 players", "shown: 0 players", "shown: 4 players"]
    graphs = {path.stem for path in (tmp_path / "tutorial/runs").rglob("*.onnx")}
    assert graphs == {"bass", "drums", "other", "vocals"}
    assert (tmp_path / "tutorial/packed/submission.toml").is_file()
