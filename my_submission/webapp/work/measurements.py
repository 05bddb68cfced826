"""Measurements of a result's tracks, made on request, for pictures and figures."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from my_submission.dsp.envelope import Envelope
from my_submission.dsp.log_spectrogram import LogSpectrogram
from my_submission.dsp.overview import Overview
from my_submission.files.part_files import written_whole
from my_submission.pictures import SongView, TrackView
from my_submission.pictures.song import MIXTURE, residual_of, view_track

if TYPE_CHECKING:
    from my_submission.webapp.work.song_result import SongResult


class Measurements:
    """Views of the tracks of one result.

    Every track is read once. A view has 8 MB, so views are kept in files beside the result instead of in memory.

    Args:
        result: a result; its stems are measured when nothing more will be added.
    """

    def __init__(self, result: SongResult) -> None:
        self._result = result
        self._lock = threading.Lock()
        self._residual_db: tuple[float | None] | None = None

    def track(self, name: str) -> TrackView:
        """Return the view of a track; KeyError if there is none.

        Raises:
            InputError: its file cannot be read.
            OutputError: the disk is full.
        """
        result = self._result
        path = result.mixture_file if name == MIXTURE else result.stem_files[name]
        cutoff_hz = result.cutoffs_hz.get(name)
        kept = result.folder / f"{name}.overview.npz"
        with self._lock:
            if kept.exists():
                overview = _kept(kept)
                return TrackView(name, path, overview, overview.beyond_full_scale, cutoff_hz)
            samples = result.playable_samples(name)
            view = view_track(name, path, result.sample_rate, samples, cutoff_hz=cutoff_hz)
            _keep(view.overview, kept)
            return view

    def song(self) -> SongView | None:
        """Return the view of all tracks; None if the result has no report, because the separation was stopped."""
        report = self._result.report
        if report is None:
            return None
        tracks = tuple(self.track(name) for name in self._result.tracks)
        with self._lock:
            if self._residual_db is None:
                self._residual_db = (residual_of(report, mixture=self._result.mixture_file),)
            return SongView(tracks, *self._residual_db)


def _keep(overview: Overview, path: Path) -> None:
    """Write an overview to a file."""
    plain = asdict(overview)
    arrays: dict[str, Any] = {f"envelope.{name}": each for name, each in plain.pop("envelope").items()}
    arrays |= {f"power.{name}": each for name, each in plain.pop("power").items()}
    if plain["loudness_lufs"] is None:
        plain["loudness_lufs"] = np.nan
    with written_whole(path, is_flushed=False) as part, part.open("wb") as file:
        np.savez(file, **arrays, **plain)


def _kept(path: Path) -> Overview:
    """Return the overview of a file."""
    with np.load(path, allow_pickle=False) as found:
        loudness = float(found["loudness_lufs"])
        return Overview(
            sample_rate=int(found["sample_rate"]),
            samples=int(found["samples"]),
            peak=float(found["peak"]),
            rms=float(found["rms"]),
            loudness_lufs=None if np.isnan(loudness) else loudness,
            beyond_full_scale=int(found["beyond_full_scale"]),
            envelope=Envelope(found["envelope.low"], found["envelope.high"]),
            power=LogSpectrogram(found["power.decibels"], found["power.frequencies_hz"], float(found["power.seconds"])),
        )
