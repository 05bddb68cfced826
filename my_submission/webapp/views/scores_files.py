"""Finds and reads scores files for the scores page."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from evaluator.errors import EvaluationError
from evaluator.replay import local_run
from evaluator.scores import Document, parse_scores
from terminal.documents import DocumentError, parse_json, read_json

MAX_BYTES = 32 << 20
"""Largest scores file; a thousand songs take a tenth of it."""

_MAX_RUN_BYTES = 64 << 20
"""A report takes some kilobytes per song."""

_SETTINGS = {
    "budget": "time limit {} s",
    "budget_factor": "time limit {} × length",
    "max_memory": "memory limit {} MiB",
}
"""Settings in words; others are named as on the command line."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """When and how a scores file was made.

    Attributes:
        made: time of the file; None if unknown.
        settings: settings of the run that are not the default, as words by name.
        weights: short hash over the weights of the run; "" if unknown.
    """

    made: datetime | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    weights: str = ""


@dataclass
class ScoresFiles:
    """Scores files by the name shown on the page, and the reason for each file that cannot be shown."""

    documents: dict[str, Document] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)

    def add(self, name: str, content: bytes, path: Path | None = None) -> None:
        """Add one file to the documents or to the problems.

        Args:
            path: its path on the server, for its time and the settings in the ``run.json`` beside it.
        """
        try:
            self.documents[name] = scores_of(content, name)
        except EvaluationError as error:
            self.problems[name] = error.problem
        else:
            self.origins[name] = origin_of(self.documents[name], path)


def find_scores(folders: Iterable[Path]) -> ScoresFiles:
    """Read every scores file below some folders.

    Other JSON files, such as the manifest of a run, are skipped: those without metrics and without "scores" in their
    name.
    """
    found = ScoresFiles()
    for path in (path for folder in folders for path in sorted(folder.rglob("*.json"))):
        label = "/".join(path.parts[-3:])
        same = sum(name.startswith(label) for name in (*found.documents, *found.problems))
        name = f"{label} ({same + 1})" if same else label
        try:
            size = path.stat().st_size
            content = path.read_bytes() if size <= MAX_BYTES else b""
        except OSError as error:
            found.problems[name] = f"cannot be read ({error.strerror})"
            continue
        if size > MAX_BYTES:
            found.problems[name] = f"has {size >> 20} MiB; the limit is {MAX_BYTES >> 20} MiB"
        elif not _is_other(path.name, content):
            found.add(name, content, path)
    return found


def scores_of(content: bytes, name: str) -> Document:
    """Return a checked scores file.

    Raises:
        EvaluationError: it is not a scores file, or it is damaged.
    """
    try:
        document = parse_scores(content, where=name)
        for metric in document["metrics"]:
            local_run(document, metric)
    except EvaluationError:
        raise
    except Exception as error:  # one file must not break the page for all others
        logger.exception("%s: cannot show this scores file", name)
        raise EvaluationError(f"is damaged ({type(error).__name__}: {str(error)[:200]})", where=name) from error
    return document


def origin_of(document: Document, path: Path | None = None) -> Origin:
    """Return when and how a scores file was made; values that cannot be read are unknown."""
    run = _run_beside(path) if path is not None else {}
    settings = run.get("settings") if run.get("system") == document.get("system") else None
    weights = run.get("weights") if settings is not None else None
    return Origin(
        made=_time_of(path),
        settings={
            name: _SETTINGS.get(name, f"{name.replace('_', ' ')} {{}}").format(value)
            for name, value in (settings.items() if isinstance(settings, dict) else ())
            if value not in (None, "auto", False)
        },
        weights=sha256(repr(sorted(weights.items())).encode()).hexdigest()[:6] if isinstance(weights, dict) else "",
    )


def _run_beside(path: Path) -> Document:
    """Return the ``run.json`` that ``evaluate`` writes beside its scores, or nothing."""
    try:
        run = read_json(path.with_name("run.json"), max_bytes=_MAX_RUN_BYTES)
    except (OSError, DocumentError):
        return {}
    return run if isinstance(run, dict) else {}


def _time_of(path: Path | None) -> datetime | None:
    try:
        return None if path is None else datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def _is_other(name: str, content: bytes) -> bool:
    """Return whether a file is valid JSON but not a scores file."""
    if "scores" in name.casefold():
        return False
    try:
        document = parse_json(content)
    except DocumentError:
        return False
    return not (isinstance(document, dict) and "metrics" in document)
