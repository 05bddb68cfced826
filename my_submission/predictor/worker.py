"""Work that may hang: it runs in a thread, which is abandoned if it does not return in time."""

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
"""Abandoned threads, and the keys of their work; threads that have ended are removed at the next check."""


class OverrunError(Exception):
    """The work did not return in time; its thread was abandoned."""


@dataclass(frozen=True)
class LateResult:
    """Result of an abandoned task.

    Attributes:
        result: result of the task.
        seconds: its duration.
    """

    result: Any
    seconds: float


class Worker:
    """Runs tasks one after the other in one thread, as a context manager.

    The thread is a daemon, so one that hangs in a library does not keep the process alive.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="mdx-worker", daemon=True)
        self._clock = clock
        self._abandoned_task: Future[Any] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.put(None)
        if self._abandoned_task is None:
            self._thread.join()

    def run(self, task: Callable[[], T], *, key: str, timeout_seconds: float) -> T:
        """Run a task and return its result.

        Args:
            task: the work.
            key: key for :func:`is_abandoned`, should it not return.
            timeout_seconds: maximum duration.

        Raises:
            OverrunError: it did not return in time; nothing else can run here until :meth:`late_result` has its result.
        """
        if self._abandoned_task is not None:
            raise OverrunError("the previous task has not returned")
        began = self._clock()
        future: Future[LateResult] = Future()
        self._tasks.put((future, lambda: LateResult(task(), self._clock() - began)))
        try:
            done = future.result(None if math.isinf(timeout_seconds) else _waitable(timeout_seconds))
        except FutureTimeoutError:
            if not future.done():
                self._abandoned_task = future
                _abandoned[self._thread] = key
                raise OverrunError(f"no result after {timeout_seconds:.1f} s") from None
            done = future.result()  # it returned at the last moment, or raised this error itself
        result: T = done.result
        return result

    def late_result(self, *, timeout_seconds: float = 0.0) -> LateResult | None:
        """Return the result of the abandoned task, or raise its error; None if it does not return in time."""
        future = self._abandoned_task
        if future is None:
            return None
        wait([future], _waitable(timeout_seconds))
        if not future.done():
            return None
        self._abandoned_task = None
        _abandoned.pop(self._thread, None)
        late: LateResult = future.result()
        return late

    def _serve(self) -> None:
        while (order := self._tasks.get()) is not None:
            future, task = order
            try:
                future.set_result(task())
            except BaseException as error:  # raised again for the caller that waits for the result
                future.set_exception(error)
            del future, task, order


def _waitable(seconds: float) -> float:
    """Return the seconds, limited to what a thread can wait."""
    return min(max(0.0, seconds), threading.TIMEOUT_MAX)


def is_abandoned(key: str) -> bool:
    """Whether work of this key was abandoned and is still busy."""
    for thread in [thread for thread in _abandoned if not thread.is_alive()]:
        del _abandoned[thread]
    return key in _abandoned.values()


def leave(code: int) -> NoReturn:
    """End the process with an exit code, even while abandoned work is still busy in a library.

    An ordinary exit would unload the library under that work, and crash or wait for it. Without abandoned work, it
    would take a tenth of a second.
    """
    process.end(code, at_once=True)
