"""A song and its stems at a glance: what pictures, level reports and pages are made from."""

from __future__ import annotations

from collections.abc import Mapping
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
        path: its file.
        overview: what it looks like.
        clipped_samples: values beyond ±1 before they were converted for the file, over both channels.
        cutoff_hz: where its spectral network is silent above, if it has one.
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
        residual_db: energy of mixture − Σ stems over that of the mixture; −inf where they add up exactly, None for
            a silent mixture.
    """

    tracks: tuple[TrackView, ...]
    residual_db: float | None

    def track(self, name: str) -> TrackView:
        """The track of that name; KeyError when there is none."""
        for track in self.tracks:
            if track.name == name:
                return track
        raise KeyError(name)


def view_song(report: SeparationReport, *, mixture: str | Path | None = None) -> SongView:
    """Look at the mixture and every stem of a separation from file to file.

    Args:
        report: of the separation; its outputs are read.
        mixture: the file that was separated; the report's own when not given.

    Raises:
        InputError: a file cannot be read any more.
        ValueError: the report is of a waveform, which left no files.
    """
    source = mixture or report.input_path
    if source is None:
        raise ValueError("a waveform's separation leaves no files to look at")
    rate, samples = report.source_rate, report.source_samples
    whole = overview_of(read_blocks(source), rate, samples)
    tracks = [TrackView(MIXTURE, Path(source), whole, whole.beyond_full_scale)]
    for name, path in report.outputs.items():
        clipped = int(report.levels[name]["clipped_samples"])
        overview = overview_of(read_blocks(path), rate, samples)
        tracks.append(
            TrackView(name, Path(path), overview, max(clipped, overview.beyond_full_scale), report.cutoffs_hz.get(name))
        )
    return SongView(tuple(tracks), residual_of(source, report.outputs))


def residual_of(mixture: str | Path, stems: Mapping[str, str]) -> float | None:
    """Energy of mixture − Σ stems over that of the mixture, in dB, as :func:`residual_db` says."""
    return residual_db(read_blocks(mixture), [read_blocks(path) for path in stems.values()])
