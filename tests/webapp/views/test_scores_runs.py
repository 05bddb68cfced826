"""Names of runs on the scores page: apart from each other, with date, data set, songs and differing settings."""

from __future__ import annotations

import json
import os
from pathlib import Path

from my_submission.webapp.views.scores_files import ScoresFiles, find_scores
from my_submission.webapp.views.scores_runs import runs_of
from tests.webapp.views.test_scores_files import scores

MONDAY, TUESDAY = 1_795_430_400, 1_795_516_800  # 23 and 24 November 2026


def put(folder: Path, *, settings: dict[str, object] | None = None, at: int = MONDAY, **changes: object) -> None:
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text(json.dumps(scores(**changes)))
    os.utime(folder / "scores.json", (at, at))
    if settings is not None:
        run = {"system": changes.get("system", "x"), "settings": settings, "weights": {"a": "0"}}
        (folder / "run.json").write_text(json.dumps(run))


def names(folder: Path) -> list[str]:
    return sorted(run.name for run in runs_of(find_scores([folder])).values())


def test_a_run_is_named_with_its_date_data_set_and_songs(tmp_path: Path) -> None:
    put(tmp_path / "one", settings={"budget": None, "refine": "auto", "budget_factor": 0.2})
    (run,) = runs_of(find_scores([tmp_path])).values()
    assert run.name == "x"
    assert run.label == "x · 23 Nov 2026 · one song · 1 song"
    assert run.settings == "time limit 0.2 × length"
    assert run.document["system"] == "x"


def test_runs_of_one_system_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    put(tmp_path / "a/one", settings={"precision": "fp32"})
    put(tmp_path / "a/two", settings={"precision": "bf16"})
    put(tmp_path / "a/three", system="y")
    assert names(tmp_path / "a") == ["x (precision bf16)", "x (precision fp32)", "y"]
    put(tmp_path / "b/one")
    put(tmp_path / "b/two", at=TUESDAY)
    assert names(tmp_path / "b") == ["x (23 Nov 2026)", "x (24 Nov 2026)"]
    put(tmp_path / "c/one")
    put(tmp_path / "c/two")
    assert names(tmp_path / "c") == ["x (one)", "x (two)"]
    put(tmp_path / "d/one", dataset="another")
    put(tmp_path / "d/two")
    assert names(tmp_path / "d") == ["x (another)", "x (one song)"]


def test_an_uploaded_run_has_no_date() -> None:
    found = ScoresFiles()
    found.add("scores.json", json.dumps(scores()).encode())
    (run,) = runs_of(found).values()
    assert run.label == "x · — · one song · 1 song"


def test_a_damaged_or_foreign_run_json_is_ignored(tmp_path: Path) -> None:
    for index, content in enumerate(("{", "[]", '{"system": "x", "settings": 5, "weights": []}', '{"system": "z"}')):
        put(tmp_path / str(index))
        (tmp_path / str(index) / "run.json").write_text(content)
    assert {run.settings for run in runs_of(find_scores([tmp_path])).values()} == {""}
