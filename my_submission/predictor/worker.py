"""Work that may hang: done in a thread of its own, and left behind when it does not return in time."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from my_submission.budget import Clock
from terminal import process

logger = logging.getLogger(__name__)

T = TypeVar("T")

_abandoned: dict[threading.Thread, str] = {}
"""Threads that were left behind, and with what; those that have ended are forgotten when someone asks."""


class OverrunError(Exception):
    """The work did not return in time; its thread was left behind."""


@dataclass(frozen=True)
class Late:
    """What a task returned that was left behind.

    Attributes:
        result: of the task.
        seconds: what it took.
    """

    result: Any
    seconds: float


class Worker:
    """Runs tasks one after the other in one thread, as a context manager.

    The thread is a daemon: one that hangs in a library does not keep the process alive.

    Args:
        clock: monotonic seconds, for how long a task took.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="mdx-worker", daemon=True)
        self._clock = clock
        self._left_behind: Future[Any] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.put(None)
        if self._left_behind is None:
            self._thread.join()

    def run(self, task: Callable[[], T], *, key: str, timeout_seconds: float) -> T:
        """The task's result.

        Args:
            task: the work.
            key: what :func:`is_abandoned` will know it by, should it not return.
            timeout_seconds: how long to wait for it.

        Raises:
            OverrunError: it did not return in time; nothing more can be run here until :meth:`late` has its result.
        """
        if self._left_behind is not None:
            raise OverrunError("the task before has not returned")
        began = self._clock()
        future: Future[Late] = Future()
        self._tasks.put((future, lambda: Late(task(), self._clock() - began)))
        try:
            done = future.result(None if math.isinf(timeout_seconds) else _waitable(timeout_seconds))
        except FutureTimeoutError:
            if not future.done():
                self._left_behind = future
                _abandoned[self._thread] = key
                raise OverrunError(f"no result after {timeout_seconds:.1f} s") from None
            done = future.result()  # it returned at the last moment, or raised this itself
        result: T = done.result
        return result

    def late(self, *, timeout_seconds: float = 0.0) -> Late | None:
        """What the task that was left behind returns in time; None while it has not. What it raised is raised."""
        future = self._left_behind
        if future is None:
            return None
        wait([future], _waitable(timeout_seconds))
        if not future.done():
            return None
        self._left_behind = None
        _abandoned.pop(self._thread, None)
        late: Late = future.result()
        return late

    def _serve(self) -> None:
        while (order := self._tasks.get()) is not None:
            future, task = order
            try:
                future.set_result(task())
            except BaseException as error:  # it belongs to whoever waits for the result
                future.set_exception(error)
            del future, task, order


def _waitable(seconds: float) -> float:
    """The seconds as far as a thread can wait."""
    return min(max(0.0, seconds), threading.TIMEOUT_MAX)


def is_abandoned(key: str) -> bool:
    """Whether work of this key was left behind and is still busy."""
    return key in _still_busy()


def has_abandoned_work() -> bool:
    """Whether any work that was left behind is still busy: such a process should leave by ``os._exit``."""
    return bool(_still_busy())


def leave(code: int) -> NoReturn:
    """End the process with an exit code, also while work that was left behind is still busy in a library.

    An ordinary exit would take down the library under that work, and crash or wait for it; where there is none, it
    would still take a tenth of a second after the last word.
    """
    process.end(code, at_once=True)


def _still_busy() -> set[str]:
    for thread in [thread for thread in _abandoned if not thread.is_alive()]:
        del _abandoned[thread]
    return set(_abandoned.values())
