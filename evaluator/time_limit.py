"""A wall-clock time limit for a block of code: an alarm on POSIX, a check afterwards elsewhere."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from evaluator.errors import TimeLimitError

LONGEST_SECONDS = 1e8
"""Three years, which timers of all systems support."""


@contextmanager
def time_limit(seconds: float, *, what: str) -> Iterator[None]:
    """Limit the wall-clock time of the body of a ``with``.

    On the main thread of a platform with SIGALRM the body is interrupted at the limit; elsewhere its time is checked
    at its end. A previous handler or timer is restored.

    Args:
        seconds: the limit, greater than 0.
        what: the limited work, for the message.

    Raises:
        TimeLimitError: the body took longer.
        ValueError: the limit is not positive.
    """
    if not seconds > 0:
        raise ValueError(f"a time limit of {seconds} s is not positive")
    error = TimeLimitError(f"{what} took longer than the {seconds:g} s allowed")
    started = time.monotonic()
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        with _alarm(seconds, error):
            yield
    else:
        yield
    if time.monotonic() - started > seconds:
        raise error


@contextmanager
def _alarm(seconds: float, error: TimeLimitError) -> Iterator[None]:
    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise error

    previous_handler = signal.signal(signal.SIGALRM, interrupt)
    started = time.monotonic()
    previous_timer, interval = signal.setitimer(signal.ITIMER_REAL, min(seconds, LONGEST_SECONDS))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous_handler)
        if previous_timer:
            remaining = max(previous_timer - (time.monotonic() - started), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, remaining, interval)
