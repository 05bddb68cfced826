"""Summary of a run as a Parquet table, one row per song."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from my_submission.batch.outcomes import SongOutcome
from my_submission.batch.remote_paths import RemotePath
from my_submission.errors import MdxError
from terminal.extras import command_for
from terminal.names import storable

SUMMARY_FILE = "summary.parquet"


def write_summary(place: RemotePath, outcomes: Sequence[SongOutcome]) -> None:
    """Write the table, replacing an earlier one.

    Columns: song, input, status (done, reused, failed), error, attempts, worker, node, seconds, music_seconds,
    realtime_factor, peak_memory_bytes (of the worker so far), sample_rate, samples, input_sha256, key, system,
    is_as_published, is_complete, is_separated, late_by_seconds, clipped_samples, and peak and rms of every stem
    (``<stem>_peak``, ``<stem>_rms``). Unknown values are null; measurements of an earlier run are kept.
    Names are as :func:`terminal.names.stored` gives them.

    Raises:
        OutputError, StorageError: the file cannot be written.
    """
    pyarrow, parquet = import_pyarrow()
    rows = [storable(_row(outcome)) for outcome in outcomes]
    kinds = {str: pyarrow.string(), float: pyarrow.float64(), int: pyarrow.int64(), bool: pyarrow.bool_()}
    columns = dict.fromkeys(name for row in rows for name in row)
    schema = pyarrow.schema([(name, kinds[_TYPES.get(name, float)]) for name in columns])
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), buffer)
    place.write(buffer.getvalue())


def import_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet writer; MdxError if they are not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MdxError("pyarrow is not installed", hint=f"run {command_for('pyarrow')}") from error
    return pyarrow, parquet


def _row(outcome: SongOutcome) -> dict[str, Any]:
    record = outcome.record or {}
    report = record.get("report", {})
    levels = report.get("levels", {})
    seconds = report.get("seconds", outcome.seconds)
    return {
        "song": outcome.song.name,
        "input": outcome.song.url,
        "status": outcome.status,
        "error": outcome.error,
        "attempts": outcome.attempts,
        "worker": outcome.worker,
        "node": outcome.node or None,
        "seconds": float(seconds),
        "music_seconds": outcome.music_seconds if record else None,
        "realtime_factor": outcome.music_seconds / max(seconds, 1e-9) if record else None,
        "peak_memory_bytes": outcome.peak_memory_bytes or report.get("peak_memory_bytes"),
        "sample_rate": report.get("source_rate"),
        "samples": report.get("source_samples"),
        "input_sha256": record.get("input", {}).get("sha256"),
        "key": record.get("key"),
        "system": report.get("system"),
        "is_as_published": report.get("is_as_published"),
        "is_complete": report.get("complete"),
        "is_separated": report.get("separated"),
        "late_by_seconds": report.get("late_by_seconds"),
        "clipped_samples": sum(int(level["clipped_samples"]) for level in levels.values()) if levels else None,
        **{f"{stem}_{name}": float(level[name]) for stem, level in levels.items() for name in ("peak", "rms")},
    }


_TYPES: dict[str, type] = {
    "song": str,
    "input": str,
    "status": str,
    "error": str,
    "node": str,
    "input_sha256": str,
    "key": str,
    "system": str,
    "attempts": int,
    "worker": int,
    "peak_memory_bytes": int,
    "sample_rate": int,
    "samples": int,
    "clipped_samples": int,
    "is_as_published": bool,
    "is_complete": bool,
    "is_separated": bool,
}
"""Types of columns other than float64; fixed, so that a column of nulls has its usual type."""
