"""Overviews of a song's mixture and stems, for pictures, level reports and pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from my_submission.audio_io import probe, read_blocks
from my_submission.audio_io.decoding.decode import BLOCK_SAMPLES
from my_submission.audio_io.decoding.decoder import in_blocks
from my_submission.dsp.overview import Overview, overview_of, residual_db
from my_submission.dsp.resampling import StreamResampler
from my_submission.predictor import SeparationReport
from my_submission.stems import Waveform

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
            a silent mixture, and for stems that are not all of it or were made quieter against clipping.
    """

    tracks: tuple[TrackView, ...]
    residual_db: float | None

    def track(self, name: str) -> TrackView:
        """Return the track of that name; KeyError if there is none."""
        for track in self.tracks:
            if track.name == name:
                return track
        raise KeyError(name)


def view_track(
    name: str,
    path: str | Path,
    sample_rate: int,
    samples: int,
    *,
    clipped_samples: int = 0,
    cutoff_hz: float | None = None,
) -> TrackView:
    """Read and measure one track.

    Args:
        name: "mixture", or the source.
        path: its file, at any sample rate.
        sample_rate: sample rate of the song, in Hz.
        samples: length of the song, at that rate.
        clipped_samples: values beyond ±1 before conversion to the file's format, if that is known.
        cutoff_hz: frequency above which its network outputs nothing, or None.

    Raises:
        InputError: the file cannot be read.
    """
    overview = overview_of(_blocks_at(path, sample_rate, samples), sample_rate, samples)
    return TrackView(name, Path(path), overview, max(clipped_samples, overview.beyond_full_scale), cutoff_hz)


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
    tracks = [view_track(MIXTURE, source, rate, samples)]
    for name, path in report.outputs.items():
        clipped = int(report.levels[name]["clipped_samples"])
        cutoff_hz = report.cutoffs_hz.get(name)
        tracks.append(view_track(name, path, rate, samples, clipped_samples=clipped, cutoff_hz=cutoff_hz))
    return SongView(tuple(tracks), residual_of(report, mixture=source))


def blocks_of(track: TrackView) -> Iterator[Waveform]:
    """Yield a track's samples in blocks, at the sample rate of its overview.

    Raises:
        InputError: the file cannot be read.
    """
    return _blocks_at(track.path, track.overview.sample_rate, track.overview.samples)


def residual_of(report: SeparationReport, *, mixture: str | Path) -> float | None:
    """Return the residual of a separation as in :class:`SongView`, by reading all its files."""
    if not report.stems_add_up or report.common_gain_db:
        return None
    rate, samples = report.source_rate, report.source_samples
    return residual_db(read_blocks(mixture), [_blocks_at(path, rate, samples) for path in report.outputs.values()])


def _blocks_at(path: str | Path, sample_rate: int, samples: int) -> Iterator[Waveform]:
    """Yield a stem at the song's sample rate, which its codec may not be able to hold, in blocks as of the song."""
    found = probe(path).sample_rate
    if found == sample_rate:
        return read_blocks(path)
    return in_blocks(_resampled(path, found, sample_rate, samples), BLOCK_SAMPLES)


def _resampled(path: str | Path, from_rate: int, to_rate: int, samples: int) -> Iterator[Waveform]:
    resampler = StreamResampler(from_rate, to_rate, channels=2, samples=samples)
    for block in read_blocks(path):
        yield resampler.push(block)
    yield resampler.finish()
