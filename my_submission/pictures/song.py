"""Overviews of a song's mixture and stems, for pictures, level reports and pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from my_submission.audio_io import read_blocks
from my_submission.dsp.overview import Overview, overview_of, residual_db
from my_submission.predictor import SeparationReport

MIXTURE = "mixture"


@dataclass(frozen=True)
class TrackView:
    """One track of a song.

    Attributes:
        name: "mixture", or the source.
        clipped_samples: values beyond ±1 before conversion to the file's format, over both channels.
        cutoff_hz: frequency above which its network outputs nothing, or None.
    """

    name: str
    path: Path
    overview: Overview
    clipped_samples: int
    cutoff_hz: float | None = None


@dataclass(frozen=True)
class SongView:
    """A song's mixture and stems.

    Attributes:
        tracks: the mixture first.
        residual_db: energy of mixture − Σ stems over that of the mixture, in dB; −inf if they add up exactly, None for
            a silent mixture, and for stems that are not all of it.
    """

    tracks: tuple[TrackView, ...]
    residual_db: float | None

    def track(self, name: str) -> TrackView:
        """Return the track of that name; KeyError if there is none."""
        for track in self.tracks:
            if track.name == name:
                return track
        raise KeyError(name)


def view_song(report: SeparationReport, *, mixture: str | Path | None = None) -> SongView:
    """Read the mixture and every stem of a separation from file to file.

    Args:
        mixture: the mixture's file; by default the report's input.

    Raises:
        InputError: a file cannot be read.
        ValueError: the report is of a waveform in memory.
    """
    source = mixture or report.input_path
    if source is None:
        raise ValueError("the separation of a waveform in memory has no files")
    rate, samples = report.source_rate, report.source_samples
    whole = overview_of(read_blocks(source), rate, samples)
    tracks = [TrackView(MIXTURE, Path(source), whole, whole.beyond_full_scale)]
    for name, path in report.outputs.items():
        clipped = int(report.levels[name]["clipped_samples"])
        overview = overview_of(read_blocks(path), rate, samples)
        tracks.append(
            TrackView(name, Path(path), overview, max(clipped, overview.beyond_full_scale), report.cutoffs_hz.get(name))
        )
    residual = None
    if report.stems_add_up:
        residual = residual_db(read_blocks(source), [read_blocks(path) for path in report.outputs.values()])
    return SongView(tuple(tracks), residual)
