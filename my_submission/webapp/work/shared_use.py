"""Files that are deleted when they are discarded and nothing uses them any more."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class DiscardedError(Exception):
    """The files were discarded."""


class SharedUse:
    """Counts the users of files.

    Args:
        remove: deletes the files; called once, by the last user or by :meth:`discard`.

    Attributes:
        is_discarded: whether the files are deleted, or will be when they are no longer in use.
    """

    def __init__(self, remove: Callable[[], None]) -> None:
        self.is_discarded = False
        self._remove = remove
        self._lock = threading.Lock()
        self._n_users = 0

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the files during the body of a ``with``; DiscardedError if they were discarded."""
        with self._lock:
            if self.is_discarded:
                raise DiscardedError
            self._n_users += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                is_last = self.is_discarded and not self._n_users
            if is_last:
                self._remove()

    def discard(self) -> None:
        """Delete the files, now or when they are no longer in use."""
        with self._lock:
            is_idle = not self._n_users and not self.is_discarded
            self.is_discarded = True
        if is_idle:
            self._remove()
