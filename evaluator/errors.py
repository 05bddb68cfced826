"""The evaluator's errors; each names the problem, the file and how to fix it.

    EvaluationError
    ├── DatasetError        a folder or song cannot be read as reference or estimate
    ├── ScoresError         a scores file is invalid, or a board does not exist
    ├── TimeLimitError      setup or a song took longer than the challenge allows
    └── SongsFailedError    some songs failed

The command line prints them as one line and exits with code 1. Any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath


class EvaluationError(Exception):
    """Base class of all errors of this package.

    Args:
        problem: what is wrong, as one clause without a full stop.
        where: the file or folder, if any.
        hint: how to fix it, as one clause without a full stop.
    """

    def __init__(self, problem: str, *, where: str | PathLike[str] | None = None, hint: str | None = None) -> None:
        self.problem = problem
        self.where = None if where is None else fspath(where)
        self.hint = hint
        head = problem if self.where is None else f"{self.where}: {problem}"
        super().__init__(head if hint is None else f"{head}. {hint[:1].upper()}{hint[1:]}.")


class DatasetError(EvaluationError):
    """A folder has no songs, or a stem is missing, unreadable or of another shape than its reference."""


class ScoresError(EvaluationError):
    """A scores file is invalid or of another version or metric, or a board or entry is unknown."""


class TimeLimitError(EvaluationError):
    """Setup or one song took longer than the challenge allows."""


class SongsFailedError(EvaluationError):
    """Some songs failed; the others are finished.

    Attributes:
        failures: song to reason, in the order of failing.
        n_done: number of finished songs.
    """

    def __init__(self, failures: Mapping[str, str], *, n_done: int) -> None:
        self.failures = dict(failures)
        self.n_done = n_done
        listed = "; ".join(f"{song}: {reason}" for song, reason in self.failures.items())
        super().__init__(
            f"{len(self.failures)} of {len(self.failures) + n_done} songs failed ({n_done} done): {listed}"
        )
