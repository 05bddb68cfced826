"""The evaluator as a package: what importing it costs, where it prints, and that its data goes with it."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import resources
from pathlib import Path

import evaluator

FOLDER = Path(evaluator.__file__).parent
ENTRY_POINTS = {"cli.py", "music_demixing.py"}


def test_importing_the_entry_points_loads_numpy_and_soundfile_only() -> None:
    heavy = {"scipy", "museval", "musdb", "stempeg", "pandas", "matplotlib", "rich", "my_submission", "torch"}
    code = (
        "import sys, evaluator, evaluator.cli, evaluator.music_demixing, evaluator.replay_plot, evaluator.stem_mp4\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER.parent)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_only_entry_points_print() -> None:
    for path in FOLDER.glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        prints = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        assert not prints or path.name in ENTRY_POINTS, path


def test_data_files_are_in_the_package() -> None:
    for name in ("boards.csv", "page.html"):
        assert resources.files("evaluator").joinpath(name).is_file()
