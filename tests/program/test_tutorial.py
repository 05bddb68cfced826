"""The tutorial runs from its first cell to its last, in a folder without songs, as a reader would run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.documentation.notebook_page import notebook_page
from scripts.documentation.run_notebook import HASH, code_hash

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs/tutorial.ipynb"

SHOWN = {"Separation", "SeparationReport", "Replay"}


def outputs(path: Path) -> list[list[tuple[str, str]]]:
    """Per cell of code, what it shows: kind, and the text or HTML."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [[_output(output) for output in cell["outputs"]] for cell in cells if cell["cell_type"] == "code"]


def _output(output: dict[str, Any]) -> tuple[str, str]:
    if output["output_type"] == "stream":
        return "text", "".join(output["text"])
    data = output["data"]
    return data["text/plain"].strip("<>"), "".join(data.get("text/html", data["text/plain"]))


def test_the_outputs_in_the_notebook_are_those_of_its_code() -> None:
    assert NOTEBOOK.stat().st_size < 700_000
    executed = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["metadata"][HASH]
    assert executed == code_hash(NOTEBOOK), "run: python -m scripts.documentation.run_notebook docs/tutorial.ipynb"
    shown = outputs(NOTEBOOK)
    assert {kind for cell in shown for kind, _ in cell} >= SHOWN
    players = [html.count("<audio") for cell in shown for kind, html in cell if kind == "Separation"]
    assert players == [4, 4]
    told = "".join(text for cell in shown for _, text in cell)
    assert not re.search(r"/home/|/root|/tmp/|/work/", told)


def test_the_page_of_the_notebook_has_its_code_and_its_outputs() -> None:
    page = notebook_page(NOTEBOOK)
    assert page.count("<audio") == 8
    assert page.count('<div class="output">') == 4
    assert "```python\nseparator = mdx.Separator" in page
    assert "tutorial/packed/models/systems.toml" in page.rpartition("```{ .text .output }")[2]


@pytest.mark.slow
@pytest.mark.needs("lightning")
def test_the_tutorial_runs_and_packs_the_network_that_it_trained(tmp_path: Path) -> None:
    """The cells show what the stored notebook shows; the networks of the packed tree are the exported ones."""
    executed = tmp_path / "executed.ipynb"
    command = [sys.executable, "-m", "scripts.documentation.run_notebook", str(NOTEBOOK), "--out", str(executed)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = outputs(executed)
    assert [[kind for kind, _ in cell] for cell in found] == [[kind for kind, _ in cell] for cell in outputs(NOTEBOOK)]
    exported = dict(re.findall(r"tree/models/(\S+\.onnx) (\d+) bytes", found[-3][0][1]))
    packed = {
        name: size.replace(",", "") for size, name in re.findall(r"([\d,]+)  models/(\S+\.onnx)", found[-2][0][1])
    }
    assert packed == exported
    assert exported.keys() == {f"starter/{source}.onnx" for source in ("bass", "drums", "other", "vocals")}
    assert "models/systems.toml" in found[-1][0][1]
    assert "no faults" in found[-2][0][1]
