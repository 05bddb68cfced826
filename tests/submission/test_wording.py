"""A rehearsal decides by typed values: its verdict stays the same whatever the words for people are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from my_submission.challenge.song_reports import read_song_reports, record_song
from my_submission.events import Note, last_event
from my_submission.planning import Stage
from my_submission.predictor import Predictor
from my_submission.predictor.song_separation import SongSeparation
from my_submission.reports import SeparationReport
from my_submission.submission.verdict import rehearsal_findings
from tests.rigs import FakeClock, two_branches
from tests.submission.test_rehearsal import REPORT, SONG

SECONDS = 1.0
N_SAMPLES = round(SECONDS * 44_100)


def separated(budget_seconds: float) -> SeparationReport:
    clock = FakeClock()
    system = two_branches(clock=clock, chunk_seconds=0.02, segment_seconds=0.5)
    mixture = np.random.default_rng(0).standard_normal((2, N_SAMPLES)).astype(np.float32)
    return last_event(Predictor(system, clock=clock).stream(mixture, budget_seconds=budget_seconds)).report


def severities(path: Path, *reports: SeparationReport) -> list[set[str]]:
    """Severities of the findings of a rehearsal of each song."""
    path.unlink(missing_ok=True)
    for report in reports:
        record_song(report, {"MDX_REPORT_PATH": str(path)})
    songs = [replace(SONG, **vars(told)) for told in read_song_reports(path)]
    return [{f.severity for f in rehearsal_findings(replace(REPORT, songs=(song,)))} for song in songs]


def reword(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace all text for people by the same word, or by none."""
    whole, left_out = Stage.__init__, SongSeparation.left_out

    def init(stage: Stage, name: str, *more: object) -> None:
        whole(stage, "word", *more)

    monkeypatch.setattr(Stage, "__init__", init)
    monkeypatch.setattr(SongSeparation, "left_out", lambda song: ("",) * len(left_out(song)))
    monkeypatch.setattr(SongSeparation, "_note", lambda song, text: song.notes.append("word") or Note("word"))


def test_a_verdict_survives_other_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A song done whole and refined, one at a smaller overlap, one with little left out, one with most left out."""
    budgets = (12.0, 5.0, 4.0, 0.2)
    path = tmp_path / "reports.jsonl"
    before = [separated(seconds) for seconds in budgets]
    assert severities(path, *before) == [{"fact"}, {"fact", "warning"}, {"fact", "warning"}, {"fact", "fault"}]
    assert any(part.is_refinement for part in before[0].parts)
    reword(monkeypatch)
    after = [separated(seconds) for seconds in budgets]
    assert severities(path, *after) == severities(path, *before)
    for old, new in zip(before, after, strict=True):
        assert {part.name for part in new.parts} == {"word"}
        assert [replace(part, name="word") for part in old.parts] == list(new.parts)
        assert (new.is_as_published, new.separated_shares) == (old.is_as_published, old.separated_shares)
