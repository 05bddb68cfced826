"""What was done to each song, one JSON line a song, where MDX_REPORT_PATH asks for it.

The rehearsal reads it: a song that was finished in time only by leaving work out looks complete from outside.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

REPORT_VARIABLE = "MDX_REPORT_PATH"


def record_song(report: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
    """Append one song's report to the file that MDX_REPORT_PATH names; without it nothing is written.

    A report that cannot be written is logged: it must not cost the song.
    """
    named = (os.environ if environment is None else environment).get(REPORT_VARIABLE)
    if not named:
        return
    try:
        with Path(named).open("a", encoding="utf-8") as file:
            file.write(json.dumps(report, ensure_ascii=False) + "\n")
    except OSError as error:
        logger.warning("%s: the report cannot be written (%s)", named, error.strerror)


def read_song_reports(path: Path) -> list[dict[str, Any]]:
    """Reports in the order of the songs; none where the submission wrote none."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
