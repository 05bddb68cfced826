"""A library of songs and a queue for every test that asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from my_submission.webapp.songs.song_library import SongLibrary
from my_submission.webapp.work.job_queue import JobQueue
from tests.rigs import FakeClock
from tests.webapp.rig import queue_of


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def library(tmp_path: Path, clock: FakeClock) -> Iterator[SongLibrary]:
    made = SongLibrary(tmp_path / "scratch", keep_seconds=3600.0, max_seconds=40.0, clock=clock)
    yield made
    made.close()


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    made = queue_of()
    yield made
    made.close()
