"""Published scores: the tables in the documents are those of the stored scores, of the systems as they are now."""

from __future__ import annotations

import json

import pytest

from benchmarks import starter_scores
from benchmarks.starter_scores import DOCUMENTS, ROOT, SCORES, SONGS, SYSTEMS, settings_of, tables, with_tables

STORED = json.loads(SCORES.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_tables_of_a_document_are_those_of_the_stored_scores(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert with_tables(text, STORED["scores"]) == text, "run python -m benchmarks.starter_scores --tables"


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_stored_scores_are_of_the_weights_and_shares_in_the_repository(name: str) -> None:
    assert STORED["systems"][name] == settings_of(name), "run python -m benchmarks.starter_scores"


def test_every_song_and_row_is_scored() -> None:
    assert set(STORED["scores"]) == set(SONGS)
    for rows in STORED["scores"].values():
        assert set(rows) == {starter_scores.QUARTER, starter_scores.FRONT_END, *SYSTEMS}


def test_only_what_stands_between_markers_is_replaced() -> None:
    text = "before\n<!-- scores:means -->\nold\n<!-- /scores -->\nafter\n<!-- scores:starter -->\n<!-- /scores -->\n"
    made = tables(STORED["scores"])
    new = with_tables(text, STORED["scores"])
    assert new.startswith(f"before\n<!-- scores:means -->\n{made['means']}\n<!-- /scores -->\nafter\n")
    assert with_tables(new, STORED["scores"]) == new
    assert "old" not in new
    for wrong in ("no marker", "<!-- scores:nobody -->\n<!-- /scores -->", "<!-- scores:means -->"):
        with pytest.raises(ValueError, match="scores:"):
            with_tables(wrong, STORED["scores"])
