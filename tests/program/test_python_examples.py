"""The Python examples of README and docs/python.md run, in their order, as a reader would run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.audio_fixtures import noise

ROOT = Path(__file__).resolve().parents[2]


def python_blocks(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path) -> None:
    blocks = python_blocks("docs/python.md")
    assert len(blocks) >= 8
    (in_readme,) = python_blocks("README.md")
    soundfile.write(tmp_path / "song.mp3", noise(2, 22_050).T, 44_100, format="MP3")
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + "\n".join([in_readme, *blocks])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == str(Path("stems/song/song - vocals.wav"))
    assert "['song (instrumental).flac', 'song (vocals).flac']" in lines
    assert "starter ('bass', 'drums', 'other', 'vocals') ('bass', 'drums', 'other', 'vocals')" in lines
    assert lines[-1].startswith("missing.mp3")
