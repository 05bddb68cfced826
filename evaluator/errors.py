"""The evaluator's errors: what is wrong, where, and what to do.

    EvaluationError
    ├── DatasetError        a folder or song that cannot be read as reference or estimate
    ├── ScoresError         a scores file that is not what it says, or a board that does not exist
    ├── TimeLimitError      setup or a song took longer than the challenge allows
    └── SongsFailedError    the work ended, and these songs are not in it

The doors turn them into one line on standard error and exit code 1. Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath


class EvaluationError(Exception):
    """A failure with a cure.

    Args:
        problem: what is wrong, as one clause without a full stop.
        where: the file or folder concerned, when there is one.
        cure: what the user can do about it, as one clause without a full stop.
    """

    def __init__(self, problem: str, *, where: str | PathLike[str] | None = None, hint: str | None = None) -> None:
        self.problem = problem
        self.where = None if where is None else fspath(where)
        self.hint = hint
        head = problem if self.where is None else f"{self.where}: {problem}"
        super().__init__(head if hint is None else f"{head}. {hint[:1].upper()}{hint[1:]}.")


class DatasetError(EvaluationError):
    """A folder holds no songs, or a song cannot be scored: a stem is absent, unreadable or unlike its reference."""


class ScoresError(EvaluationError):
    """A scores file is damaged, of another version or of another metric; or a board or entry is unknown."""


class TimeLimitError(EvaluationError):
    """Setup or one song took longer than the challenge allows."""


class SongsFailedError(EvaluationError):
    """Some songs failed; the others are done and kept.

    Attributes:
        failures: song name to the reason, in the order of failing.
        n_done: how many songs were finished.
    """

    def __init__(self, failures: Mapping[str, str], *, n_done: int) -> None:
        self.failures = dict(failures)
        self.n_done = n_done
        listed = "; ".join(f"{song}: {reason}" for song, reason in self.failures.items())
        super().__init__(
            f"{len(self.failures)} of {len(self.failures) + n_done} songs failed ({n_done} done): {listed}"
        )
