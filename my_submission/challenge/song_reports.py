"""What was done to each song, one JSON line a song, where MDX_REPORT_PATH asks for it.

The rehearsal reads it: a song that was finished in time only by leaving work out looks complete from outside.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from my_submission.documents import has_form
from my_submission.errors import InputError
from my_submission.events import Estimated, Event, Finished, Note, StageFinished
from my_submission.predictor.report import is_separated, outcome_warnings
from terminal.documents import DocumentError, read_json_lines
from terminal.names import storable

logger = logging.getLogger(__name__)

REPORT_VARIABLE = "MDX_REPORT_PATH"

_HINT = f"write reports as my_submission.challenge.song_reports does, or leave {REPORT_VARIABLE} alone"

_LEFT_OUT = "the deadline "
_REFINEMENT = re.compile(r", overlapped$|, shifted pass \d+$")
"""How the predictor names what it left out, and what goes beyond the published work."""


class _Part(TypedDict):
    name: str
    complete: bool
    samples: float
    done_samples: float


class _SongReport(TypedDict):
    """What others read of a report."""

    parts: NotRequired[list[_Part]]
    left_out: NotRequired[list[str]]


class EventReport:
    """The report of a song that is separated in memory, gathered from its events.

    Args:
        budget_seconds: what the song was given.
    """

    def __init__(self, budget_seconds: float) -> None:
        self._budget_seconds = budget_seconds
        self._parts: dict[str, dict[str, Any]] = {}
        self._notes: list[str] = []
        self._shares: dict[str, float] = {}
        self._late_by_seconds = 0.0

    def take(self, event: Event) -> None:
        """Take one event in; those that tell nothing of the outcome are passed over."""
        if isinstance(event, StageFinished):
            self._parts[event.part] = _part(event.part, event.seconds, event.done, event.samples)
        elif isinstance(event, Note):
            self._notes.append(event.text)
        elif isinstance(event, Estimated):
            self._shares = dict(event.shares)
        elif isinstance(event, Finished):
            self._late_by_seconds = event.late_by_seconds

    @property
    def is_separated(self) -> bool:
        """Whether anything was estimated; stems that are only shares of the mixture are no separation."""
        return is_separated(self._shares)

    def warnings(self) -> tuple[str, ...]:
        """What a reader of the log must know: nothing was estimated, the song is late."""
        return outcome_warnings(self.is_separated, self._late_by_seconds)

    def as_json(self) -> dict[str, Any]:
        """The same keys as the report of a file has."""
        parts = list(self._parts.values())
        left_out = [text for text in self._notes if text.startswith(_LEFT_OUT)]
        is_complete = all(part["complete"] for part in parts if not part["is_refinement"])
        return {
            "complete": is_complete,
            "separated": self.is_separated,
            "separated_shares": self._shares,
            "late_by_seconds": self._late_by_seconds,
            "is_as_published": is_complete and not left_out,
            "left_out": left_out,
            "parts": parts,
            "notes": self._notes,
            "budget_seconds": self._budget_seconds,
        }


def _part(name: str, seconds: float, done: int, samples: int) -> dict[str, Any]:
    return {
        "name": name,
        "seconds": seconds,
        "done_samples": done,
        "samples": samples,
        "complete": done >= samples,
        "is_refinement": _REFINEMENT.search(name) is not None,
    }


def record_song(report: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
    """Append one song's report to the file that MDX_REPORT_PATH names; without it nothing is written.

    A report that cannot be written is logged: it must not cost the song.
    """
    named = (os.environ if environment is None else environment).get(REPORT_VARIABLE)
    if not named:
        return
    try:
        with Path(named).open("a", encoding="utf-8") as file:
            file.write(json.dumps(storable(dict(report)), ensure_ascii=False) + "\n")
    except OSError as error:
        logger.warning("%s: the report cannot be written (%s)", named, error.strerror)


def read_song_reports(path: Path) -> list[dict[str, Any]]:
    """Return the reports in the order of the songs; none where the submission wrote none.

    Raises:
        InputError: the file is no file of such reports.
    """
    if not path.is_file():
        return []
    try:
        reports = read_json_lines(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from error
    except DocumentError as error:
        raise InputError(f"is no file of song reports ({error})", where=path, hint=_HINT) from error
    if not has_form(list[_SongReport], reports):
        raise InputError("holds a report whose parts or left_out are not what they should be", where=path, hint=_HINT)
    return reports
