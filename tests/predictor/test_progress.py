"""Progress of a separation from its events."""

from __future__ import annotations

import pytest

from my_submission.events import BlockWritten, Planned, StageAdvanced, StageFinished, StageStarted
from my_submission.progress import WRITING, ProgressMeter
from tests.rigs import FakeClock

RATE = 44_100


def test_time_left_follows_what_the_parts_take() -> None:
    """Parts planned for 2 and 6 s that take twice as long: half of the first done after 2 s, 14 s to go."""
    clock = FakeClock()
    meter = ProgressMeter(clock)
    assert meter.take(Planned({"first": 2.0, "second": 6.0})).left_seconds is None
    meter.take(StageStarted("first", 2 * RATE))
    clock.pass_(2.0)
    progress = meter.take(StageAdvanced("first", RATE, 2 * RATE))
    assert (progress.share, progress.left_seconds) == (pytest.approx(1 / 8), pytest.approx(14.0))
    assert (progress.part, progress.part_seconds, progress.song_seconds, progress.n_chunks) == ("first", 1.0, 2.0, 1)
    clock.pass_(2.0)
    assert meter.take(StageFinished("first", 4.0, 2 * RATE, 2 * RATE)).left_seconds == pytest.approx(12.0)
    meter.take(StageStarted("not planned", RATE))
    assert meter.take(StageFinished("not planned", 0.0, RATE, RATE)).share == pytest.approx(8 / 14)


def test_time_left_is_never_beyond_the_budget() -> None:
    clock = FakeClock()
    meter = ProgressMeter(clock, budget_seconds=5.0)
    meter.take(Planned({"part": 100.0}))
    clock.pass_(2.0)
    assert meter.take(StageAdvanced("part", 1, 100)).left_seconds == pytest.approx(3.0)


def test_writing_is_part_of_the_work() -> None:
    clock = FakeClock()
    meter = ProgressMeter(clock)
    meter.take(Planned({"part": 3.0}, writing_seconds=1.0))
    clock.pass_(3.0)
    assert meter.take(StageFinished("part", 3.0, RATE, RATE)).share == pytest.approx(3 / 4)
    clock.pass_(0.5)
    progress = meter.take(BlockWritten(RATE // 2, RATE))
    assert (progress.part, progress.share, progress.left_seconds) == (WRITING, pytest.approx(7 / 8), pytest.approx(0.5))
