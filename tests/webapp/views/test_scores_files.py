"""Scores files of the scores page: a broken one is named, the others are shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

from my_submission.webapp.views.scores_files import MAX_BYTES, find_scores
from tests.webapp.rig import SOURCES


def scores(**changes: object) -> dict[str, object]:
    row = {"bass": 6.0, "drums": 7.0, "other": 5.0, "vocals": 8.0, "song": 6.5}
    metrics = {"mdx": {"songs": {"one": row}, "mean": row}}
    good = {"schema": 1, "dataset": "one song", "system": "x", "sources": list(SOURCES), "metrics": metrics}
    return {**good, **changes}


BAD_SCORES: dict[str, str | bytes] = {
    "no json": "{",
    "no text": b"\xff\xfe\x00",
    "deep": "[" * 100_000,
    "deep metrics": '{"schema": 1, "dataset": "d", "metrics": ' + '{"mdx":' * 50_000,
    "lacks a source": json.dumps(scores(sources=[*SOURCES, "piano"])),
    "sources are numbers": json.dumps(scores(sources=[1, 2])),
    "sources is a number": json.dumps(scores(sources=5)),
    "infinite": json.dumps(scores()).replace("6.5", "1e999"),
    "NaN": json.dumps(scores()).replace("6.5", "NaN"),
    "400 digits": json.dumps(scores()).replace("6.5", "9" * 400),
    "9 000 digits": json.dumps(scores()).replace("6.5", "9" * 9_000),
    "no mean": json.dumps(scores(metrics={"mdx": {"songs": {}, "mean": {}}})),
    "frames": json.dumps(scores(metrics={"bsseval": {"songs": {"a": {"bass": {}}}, "median": {"bass": {}}}})),
}


def test_one_bad_scores_file_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    (tmp_path / "good-scores.json").write_text(json.dumps(scores()))
    (tmp_path / "run.json").write_text('{"songs": [1, 2]}')  # of another kind
    (tmp_path / "list.json").write_text("[]")
    for name, content in BAD_SCORES.items():
        raw = content.encode() if isinstance(content, str) else content
        (tmp_path / f"{name}.json").write_bytes(raw)
    (tmp_path / "large.json").touch()
    os.truncate(tmp_path / "large.json", MAX_BYTES + 1)
    found = find_scores([tmp_path])
    assert {name.rpartition("/")[2] for name in found.documents} == {"good-scores.json"}
    named = {name.rpartition("/")[2].removesuffix(".json") for name in found.problems}
    assert named == {*BAD_SCORES, "large"}
    assert not [problem for problem in found.problems.values() if str(tmp_path) in problem or len(problem) > 400]


def test_scores_files_of_one_name_are_all_shown(tmp_path: Path) -> None:
    for folder in ("one/a/b", "two/a/b"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "scores.json").write_text(json.dumps(scores()))
    assert sorted(find_scores([tmp_path]).documents) == ["a/b/scores.json", "a/b/scores.json (2)"]
