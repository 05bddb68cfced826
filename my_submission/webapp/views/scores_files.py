"""Finds and reads scores files for the scores page."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from evaluator.errors import EvaluationError
from evaluator.replay import local_run
from evaluator.scores import Document, parse_scores
from terminal.documents import DocumentError, parse_json

MAX_BYTES = 32 << 20
"""Largest scores file; a thousand songs take a tenth of it."""

logger = logging.getLogger(__name__)


@dataclass
class ScoresFiles:
    """Scores files by the name shown on the page, and the files that cannot be shown with the reason."""

    documents: dict[str, Document] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, content: bytes) -> None:
        """Add one file to the documents or to the problems."""
        try:
            self.documents[name] = scores_of(content, name)
        except EvaluationError as error:
            self.problems[name] = error.problem


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
            found.add(name, content)
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


def _is_other(name: str, content: bytes) -> bool:
    """Return whether a file is valid JSON but not a scores file."""
    if "scores" in name.casefold():
        return False
    try:
        document = parse_json(content)
    except DocumentError:
        return False
    return not (isinstance(document, dict) and "metrics" in document)
