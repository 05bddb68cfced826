"""Paths that the operating system refuses, in the words of this program."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CURES = {
    errno.EACCES: ("there is no permission to use it", "change its permissions or those of the folders above it"),
    errno.EPERM: ("there is no permission to use it", "change its permissions or those of the folders above it"),
    errno.ENAMETOOLONG: ("the name is too long for this file system", "choose a shorter one"),
}


@contextmanager
def explained_paths(kind: Callable[..., Exception]) -> Iterator[None]:
    """Turn a refusal of a path by the operating system, in a with block or a decorated function, into our own error.

    Args:
        kind: the error's class, called with the problem and the keywords ``where`` and ``hint``. An ``OSError`` that
            names no file, or that has another cause than permissions or a too long name, passes.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _CURES or not isinstance(error.filename, (str, bytes, os.PathLike)):
            raise
        problem, hint = _CURES[error.errno]
        raise kind(problem, where=os.fsdecode(error.filename), hint=hint) from error
