"""Scores files for the scores page: those of the server's folders, and of each that cannot be shown, why."""

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
"""Of one file: a scores file of a thousand songs has a tenth of that."""

_DOCUMENTS = "*.json"
_MEANT = "scores"

logger = logging.getLogger(__name__)


@dataclass
class ScoresFiles:
    """What was found.

    Attributes:
        documents: scores files by the name they are listed under.
        problems: of files that cannot be shown, name and reason.
    """

    documents: dict[str, Document] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, content: bytes) -> None:
        """Take one file in, among the documents or the problems."""
        try:
            self.documents[name] = scores_of(content, name)
        except EvaluationError as error:
            self.problems[name] = error.problem


def find_scores(folders: Iterable[Path]) -> ScoresFiles:
    """Read every scores file below some folders.

    Other JSON lies there too, such as the manifest of a run. What reads as JSON, holds no metrics and does not have
    "scores" in its name is taken for such and left out without a word.
    """
    found = ScoresFiles()
    for path in (path for folder in folders for path in sorted(folder.rglob(_DOCUMENTS))):
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
            found.problems[name] = f"has {size >> 20} MiB, which no scores file has"
        elif not _is_other(path.name, content):
            found.add(name, content)
    return found


def scores_of(content: bytes, name: str) -> Document:
    """The document of a scores file whose every number can be shown.

    Raises:
        EvaluationError: it is no scores file, or a damaged one.
    """
    try:
        document = parse_scores(content, where=name)
        for metric in document["metrics"]:
            local_run(document, metric)
    except EvaluationError:
        raise
    except Exception as error:  # one file of someone else's must not take the page from all others
        logger.exception("%s: this scores file broke what shows it", name)
        raise EvaluationError(f"is damaged ({type(error).__name__}: {str(error)[:200]})", where=name) from error
    return document


def _is_other(name: str, content: bytes) -> bool:
    """Whether a file is a document of another kind."""
    if _MEANT in name.casefold():
        return False
    try:
        document = parse_json(content)
    except DocumentError:
        return False
    return not (isinstance(document, dict) and "metrics" in document)
