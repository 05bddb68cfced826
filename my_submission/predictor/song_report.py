"""The report of a separation, from its state and the files it has written."""

from __future__ import annotations

from pathlib import Path

from my_submission.audio_io import StemFolderWriter
from my_submission.predictor.peak_memory import peak_memory_bytes
from my_submission.predictor.song_separation import SongSeparation
from my_submission.reports import SeparationReport


def report_of(
    song: SongSeparation,
    path: Path | None = None,
    writer: StemFolderWriter | None = None,
    *,
    startup_seconds: float = 0.0,
    reading_seconds: float = 0.0,
    peak_device_bytes: int | None = None,
) -> SeparationReport:
    """Return the report of a separation up to now.

    Args:
        song: the separation.
        path: file of the song; None for a waveform.
        writer: writer of the stems; None if no files are written.
        startup_seconds: part of the time limit that was spent before the call.
        reading_seconds: duration of reading the song.
        peak_device_bytes: peak memory of the GPU; None on the CPU.
    """
    budget, parts, system = song.budget, song.stage_reports(), song.system
    seconds = budget.elapsed()
    return SeparationReport(
        system=system.recipe.name,
        source_rate=song.mixture.source_rate,
        source_samples=song.mixture.source_samples,
        parts=parts,
        seconds=seconds,
        budget_seconds=budget.seconds if budget.is_limited else None,
        peak_memory_bytes=peak_memory_bytes(),
        peak_device_memory_bytes=peak_device_bytes,
        cutoffs_hz=system.cutoffs_hz,
        weights={name: str(file) for name, file in system.weights.items()},
        input_path=None if path is None else str(path),
        outputs={} if writer is None else {name: str(file) for name, file in writer.paths.items()},
        levels={} if writer is None else {name: vars(level) for name, level in writer.levels.items()},
        notes=(*song.notes, *(() if writer is None else writer.gain_notes), *system.remarks),
        input_notes=song.mixture.notes,
        plan=song.plan.quality_level,
        left_out=song.left_out(),
        is_as_published=song.is_as_published,
        startup_seconds=startup_seconds,
        reading_seconds=reading_seconds,
        separated_shares=song.blender.estimated_shares(),
        late_by_seconds=budget.late_by(),
        stems_add_up=system.recipe.stems_add_up,
        common_gain_db=0.0 if writer is None else writer.gain_db,
        writing_seconds=seconds - startup_seconds - reading_seconds - sum(part.seconds for part in parts),
    )
