"""Measurements of tracks: the same when they come from their files, and of a stopped song's part."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from my_submission.pictures import TrackView, view_song
from my_submission.webapp.songs.song_library import SongLibrary
from my_submission.webapp.work import measurements
from my_submission.webapp.work.job_queue import JobQueue
from my_submission.webapp.work.song_result import SongResult
from tests.webapp.rig import SOURCES, add, separated, wave


@pytest.fixture
def result(library: SongLibrary, queue: JobQueue) -> SongResult:
    song = add(library, wave(1.5, level=0.7))
    separated(queue, song)
    assert song.files.result is not None
    return song.files.result


def assert_same(one: TrackView, other: TrackView) -> None:
    np.testing.assert_equal(asdict(one.overview), asdict(other.overview))
    assert (one.name, one.path, one.cutoff_hz) == (other.name, other.path, other.cutoff_hz)
    assert one.clipped_samples == other.clipped_samples


def test_every_track_is_read_once(result: SongResult, monkeypatch: pytest.MonkeyPatch) -> None:
    assert result.report is not None
    expected = view_song(result.report, mixture=result.mixture_file)
    first = [result.measurements.track(name) for name in ("mixture", *SOURCES)]
    monkeypatch.setattr(measurements, "view_track", lambda *_, **__: pytest.fail("read again"))
    song = result.measurements.song()
    assert song is not None
    for made, kept, wanted in zip(first, song.tracks, expected.tracks, strict=True):
        assert_same(made, wanted)
        assert_same(kept, wanted)
    assert song.residual_db == expected.residual_db


def test_there_is_no_such_track(result: SongResult) -> None:
    with pytest.raises(KeyError):
        result.measurements.track("piano")


def test_a_short_song_has_no_loudness(library: SongLibrary, queue: JobQueue) -> None:
    song = add(library, wave(0.2))
    separated(queue, song)
    assert song.files.result is not None
    for _ in range(2):
        assert song.files.result.measurements.track("vocals").overview.loudness_lufs is None
