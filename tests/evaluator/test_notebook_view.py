"""A replay as HTML for notebooks: the same conclusion and values as its text, escaped names, and no page around it."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest

from evaluator.boards import find_board
from evaluator.replay_session import Replay, replay
from evaluator.scores import Document, to_json
from tests.evaluator.test_replay import document

HOSTILE = '<img src=x onerror="a()">&'


@pytest.fixture
def replayed(tmp_path: Path) -> Replay:
    names: dict[str, Document] = {
        "ours": document({"bass": 5.5, "drums": 6.0, "other": 3.5, "vocals": 7.0}, system=HOSTILE),
        "other": document({"bass": 6.5, "drums": 7.0, "other": 4.5, "vocals": 8.0}, system="other"),
    }
    for name, scores in names.items():
        (tmp_path / f"{name}.json").write_text(to_json(scores), encoding="utf-8")
    paths = [tmp_path / f"{name}.json" for name in names]
    return replay(paths, boards=["MDX21-A"], rng=np.random.default_rng(0), n_resamples=200)


def rows(page: str) -> list[list[str]]:
    found = re.findall(r"<tr>(.*?)</tr>", page)
    return [[html.unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in found]


def test_a_replay_in_a_notebook_has_the_conclusion_every_entry_and_every_value_of_its_text(replayed: Replay) -> None:
    page, text = replayed._repr_html_(), replayed.text(tolerance_db=0.02)
    assert set(re.findall(r"<(\w+)", page)) == {"p", "table", "tr", "th", "td", "strong"}
    assert HOSTILE not in page
    cells = rows(page)
    board = find_board("MDX21-A")
    entries = [row for row in cells if len(row) == 7]
    assert [row[1] for row in entries if not row[1].startswith("▶")] == [
        "entry",
        *(each.name for each in board.entries),
    ]
    assert [row[1] for row in entries if row[1].startswith("▶")] == ["▶ other", f"▶ {HOSTILE}"]
    for row in entries[1:]:
        assert all(value in text for value in row[2:]), row
    ours = next(row for row in entries if row[1] == f"▶ {HOSTILE}")
    assert [float(value) for value in ours[2:]] == pytest.approx([5.5, 6.0, 3.5, 7.0, 5.5], abs=5e-4)
    overall = next(row for row in cells if row[:2] == ["overall", "5"])
    assert float(overall[2]) == pytest.approx(1.0, abs=1e-3)
