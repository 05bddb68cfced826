"""Measurements of a result's tracks, made on request, for pictures and figures."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from my_submission.pictures import SongView, TrackView
from my_submission.pictures.song import MIXTURE, residual_of, view_track

if TYPE_CHECKING:
    from my_submission.webapp.work.song_result import SongResult


class Measurements:
    """Views of the tracks of one result; every track is read once.

    Args:
        result: a result to which nothing more will be added.
    """

    def __init__(self, result: SongResult) -> None:
        self._result = result
        self._lock = threading.Lock()
        self._tracks: dict[str, TrackView] = {}
        self._song: SongView | None = None

    def track(self, name: str) -> TrackView:
        """Return the view of a track; KeyError if there is none."""
        result = self._result
        path = {MIXTURE: result.mixture_file, **result.stem_files}[name]
        with self._lock:
            if name not in self._tracks:
                samples = result.playable_samples(name)
                cutoff_hz = result.cutoffs_hz.get(name)
                self._tracks[name] = view_track(name, path, result.sample_rate, samples, cutoff_hz=cutoff_hz)
            return self._tracks[name]

    def song(self) -> SongView | None:
        """Return the view of all tracks; None where the result has no report, because the separation was stopped."""
        report = self._result.report
        if report is None:
            return None
        tracks = tuple(self.track(name) for name in self._result.tracks)
        with self._lock:
            if self._song is None:
                self._song = SongView(tracks, residual_of(report, mixture=self._result.mixture_file))
            return self._song
