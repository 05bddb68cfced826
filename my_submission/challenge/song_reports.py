"""Song reports: one JSON object per song, written by a submission and read by the rehearsal.

A submission writes them where MDX_REPORT_PATH names a file. A song that ended in time only because work was left out
looks complete from outside; its report says so. Each line is a :meth:`SeparationReport.as_json`, of which the rehearsal
uses these keys:

| key | type | meaning |
|---|---|---|
| schema | 1 | version of the format |
| is_as_published | bool | whether nothing was left out |
| left_out | list of str | sentences about what was left out, for display |
| parts | list of objects | stages: name (str), samples and done_samples (numbers), complete, is_refinement (bool) |
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, cast

from my_submission.documents import has_form
from my_submission.errors import InputError
from my_submission.reports import SeparationReport
from terminal.documents import DocumentError, read_json_lines
from terminal.names import storable

logger = logging.getLogger(__name__)

REPORT_VARIABLE = "MDX_REPORT_PATH"

_HINT = f"write reports as my_submission.challenge.song_reports does, or leave {REPORT_VARIABLE} alone"


class _Part(TypedDict):
    name: str
    samples: float
    done_samples: float
    complete: bool
    is_refinement: bool


class _Line(TypedDict):
    schema: Literal[1]
    is_as_published: bool
    left_out: list[str]
    parts: list[_Part]


@dataclass(frozen=True)
class SongReport:
    """A submission's own report of one song.

    Attributes:
        is_as_published: whether nothing was left out for lack of time.
        left_out: sentences about what was left out, for display.
        done_share: share of the published work that was done, 0 … 1.
    """

    is_as_published: bool
    left_out: tuple[str, ...] = ()
    done_share: float = 1.0


def record_song(report: SeparationReport, environment: Mapping[str, str] | None = None) -> None:
    """Append one song's report to the file that MDX_REPORT_PATH names; do nothing without the variable.

    A report that cannot be written is logged, because it must not cost the song.
    """
    named = (os.environ if environment is None else environment).get(REPORT_VARIABLE)
    if not named:
        return
    try:
        with Path(named).open("a", encoding="utf-8") as file:
            file.write(json.dumps(storable(report.as_json()), ensure_ascii=False) + "\n")
    except OSError as error:
        logger.warning("%s: the report cannot be written (%s)", named, error.strerror)


def read_song_reports(path: Path) -> list[SongReport]:
    """Read the reports in the order of the songs; none if the submission wrote no file.

    Raises:
        InputError: the file contains anything but such reports.
    """
    if not path.is_file():
        return []
    try:
        lines = read_json_lines(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from error
    except DocumentError as error:
        raise InputError(f"is not a file of song reports ({error})", where=path, hint=_HINT) from error
    if not has_form(list[_Line], lines):
        keys = ", ".join(_Line.__annotations__)
        raise InputError(f"contains a line that is not a song report (its keys are {keys})", where=path, hint=_HINT)
    return [_song_report(line) for line in cast("list[_Line]", lines)]


def _song_report(line: _Line) -> SongReport:
    if line["is_as_published"]:
        return SongReport(is_as_published=True)
    published = [part for part in line["parts"] if not part["is_refinement"]]
    shares = [_done_share(part) for part in published]
    named = line["left_out"] or [part["name"] for part in published if not part["complete"]]
    return SongReport(False, tuple(named), sum(shares) / len(shares) if shares else 1.0)


def _done_share(part: _Part) -> float:
    if part["samples"]:
        return max(0.0, min(1.0, part["done_samples"] / part["samples"]))
    return 1.0 if part["complete"] else 0.0
