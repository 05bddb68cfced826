"""Reports that commands write as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from my_submission.audio_io.writing.stem_sets import to_json
from my_submission.files.part_files import write_whole


def write_run_report(path: Path | None, songs: list[dict[str, Any]], failed: list[dict[str, str]]) -> None:
    """Write the report of a run, if one is requested.

    Args:
        path: the file, or None.
        songs: reports of the separated songs.
        failed: ``song``, ``path`` and ``error`` of the others.
    """
    if path is not None:
        write_json(path, {"schema": 1, "songs": songs, "failed": failed})


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON document in one step; names are as ``terminal.names.stored`` gives them.

    Raises:
        OutputError: the file cannot be written.
    """
    write_whole(path, to_json(document))
