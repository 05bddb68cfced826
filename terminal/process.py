"""Start time, standard streams, signals and exit of a command's process.

A program calls :func:`begin` before it imports heavy libraries, :func:`end_in_order` once an interruption must clean
up, and :func:`end` last. These functions change the whole process, so libraries must not call them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn

from terminal import early, streams
from terminal.lines import complain

EXIT_SIGNAL = 128
"""Added to a signal's number for the exit code: 130 interrupted, 143 terminated, 129 terminal closed."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables from which the mathematical libraries of a new process take their number of threads."""

REPEAT_SECONDS = 1.0
"""A second signal within this time counts as the same request, because it may have been sent to the process and to its
group. A later one ends the process without clean-up."""


class Terminated(KeyboardInterrupt):
    """Another process asked this one to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _State:
    began: float | None = None
    cleans_up = False
    first_signal: float | None = None
    number: int | None = None


def begin() -> None:
    """Set up streams, signal handlers and the start time of a command.

    Until :func:`end_in_order` a signal ends the process at once, with one line and no traceback.
    """
    streams.protect()
    _listen()
    sys.excepthook = _except_hook
    if hasattr(signal, "pthread_sigmask"):  # they are held back while a command starts itself again
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _signals())
    _State.began = min(started(), time.monotonic())


def listen_again() -> None:
    """Install the signal handlers again, after a library has set its own."""
    if _State.began is not None:
        _listen()


def stop_requested() -> KeyboardInterrupt | None:
    """Return the exception for the signal received so far, or None; for libraries that convert KeyboardInterrupt."""
    if _State.number is None:
        return None
    return KeyboardInterrupt() if _State.number == signal.SIGINT else Terminated(_State.number)


def end_in_order() -> None:
    """Make signals raise KeyboardInterrupt or :class:`Terminated` from now on, so that files are cleaned up."""
    _State.cleans_up = True


def began() -> float:
    """Return the start of this command on the clock of ``time.monotonic``: process start, or now outside a command."""
    return time.monotonic() if _State.began is None else _State.began


def end(code: int, *, at_once: bool = False) -> NoReturn:
    """End the process.

    Args:
        code: the exit code; 0 becomes 1 when standard output could not be written, except for a closed pipe.
        at_once: skip the interpreter's shutdown, which takes a while and blocks when a library hangs.
    """
    logging.shutdown()
    failure = streams.flush()
    if failure is not None:
        complain(f"error: standard output cannot be written ({failure.strerror})")
        code = code or 1
    if at_once:
        streams.flush()
        os._exit(code)
    sys.exit(code)


def exit_code(stop: KeyboardInterrupt) -> int:
    """Return the exit code for an interruption or termination."""
    if _State.number is not None:  # a library may have made a plain KeyboardInterrupt of it
        return EXIT_SIGNAL + _State.number
    return EXIT_SIGNAL + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)


def stop_message(stop: KeyboardInterrupt) -> str:
    """Return the message for a stop, such as "interrupted" or "terminated"."""
    return _message_of(exit_code(stop) - EXIT_SIGNAL)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Block terminating signals inside a ``with``; programs that are started there never receive them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def started() -> float:
    """Return the start of this process, interpreter start included, on the clock of ``time.monotonic`` (to 0.01 s)."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        ticks = int(fields[19])
        return ticks / os.sysconf("SC_CLK_TCK") + _since(lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
    except (AttributeError, IndexError, OSError, ValueError):  # no Linux
        return _started_by_psutil()


def _since(clock: Callable[[], float]) -> float:
    """Return how far ``time.monotonic`` is ahead of a clock: the minimum of five readings, against preemption."""
    return min(-clock() + time.monotonic() for _ in range(5))


def _started_by_psutil() -> float:
    try:
        import psutil
    except ImportError:
        return time.monotonic() - time.process_time()
    return float(psutil.Process().create_time() + _since(time.time))


def _listen() -> None:
    for number in _signals():
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _on_signal)


def _signals() -> set[signal.Signals]:
    return {getattr(signal, name) for name in early.MESSAGES if hasattr(signal, name)}


def _message_of(number: int) -> str:
    return early.MESSAGES[signal.Signals(number).name]


def _on_signal(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if not _State.cleans_up:
        _end_now(number)
    if _State.first_signal is None:
        _State.first_signal, _State.number = now, number
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)
    if now - _State.first_signal > REPEAT_SECONDS:
        _end_now(number)


def _end_now(number: int) -> NoReturn:
    with contextlib.suppress(OSError):
        os.write(2, f"{_message_of(number)}\n".encode("ascii"))
    os._exit(EXIT_SIGNAL + number)


def _except_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        complain(stop_message(error))
        end(exit_code(error), at_once=True)
    sys.__excepthook__(kind, error, trace)
