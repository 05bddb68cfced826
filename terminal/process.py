"""The process of a command: when it began, streams that cannot break it, signals that end it in order.

A program calls :func:`begin` before it imports anything heavy, :func:`end_in_order` when there is something that an
interruption must clean up, and :func:`end` at last. Nothing here is for a library: it changes the whole process.
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

from terminal import streams
from terminal.lines import complain

EXIT_SIGNAL = 128
"""Added to a signal's number, as shells do: 130 interrupted, 143 terminated, 129 when the terminal was closed."""

REPEAT_SECONDS = 1.0
"""A signal that comes again within this time is the same request, sent to the process and to its group; later it is
impatience, and nothing is cleaned up any more."""

_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "the terminal was closed"}
"""Signals that ask a process to end, and what is said of each."""


class Terminated(KeyboardInterrupt):
    """Another process asked this one to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _State:
    """What is known of this process."""

    began: float | None = None
    cleans_up = False
    first_signal: float | None = None
    number: int | None = None


def begin() -> None:
    """Take this process over for a command: streams, signals, and where its time begins.

    Until :func:`end_in_order` a signal ends it at once, with a line and no traceback, whatever is being imported.
    """
    streams.protect()
    _listen()
    sys.excepthook = _except_hook
    if hasattr(signal, "pthread_sigmask"):  # they are held back while a command starts itself again
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _signals())
    _State.began = min(started(), time.monotonic())


def listen_again() -> None:
    """Hear the signals of a command again, after a library has set handlers of its own."""
    if _State.began is not None:
        _listen()


def stop_requested() -> KeyboardInterrupt | None:
    """What a signal asked for, where a library has made something else of the exception; None where none came."""
    if _State.number is None:
        return None
    return KeyboardInterrupt() if _State.number == signal.SIGINT else Terminated(_State.number)


def end_in_order() -> None:
    """From now on a signal raises KeyboardInterrupt or :class:`Terminated`, so that files are cleaned up."""
    _State.cleans_up = True


def began() -> float:
    """When this command began, on the clock of ``time.monotonic``: with its process, or now where it is a call."""
    return time.monotonic() if _State.began is None else _State.began


def end(code: int, *, at_once: bool = False) -> NoReturn:
    """End the process.

    Args:
        code: the exit code; 1 instead of 0 where standard output could not be written, unless its reader had enough.
        at_once: without taking the interpreter and its libraries down, which takes a while and cannot be done while
            one of them hangs.
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
    """The exit code of a process that was interrupted or terminated."""
    if _State.number is not None:  # a library may have made a plain KeyboardInterrupt of it
        return EXIT_SIGNAL + _State.number
    return EXIT_SIGNAL + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)


def word(stop: KeyboardInterrupt) -> str:
    """What happened: interrupted, terminated."""
    return _word(exit_code(stop) - EXIT_SIGNAL)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Hold signals that end a process back in the body; programs that are started in it never see them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def started() -> float:
    """When this process was started, interpreter and imports included, on the clock of ``time.monotonic`` (0.01 s)."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        ticks = int(fields[19])
        return ticks / os.sysconf("SC_CLK_TCK") + _since(lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
    except (AttributeError, IndexError, OSError, ValueError):  # no Linux
        return _started_by_psutil()


def _since(clock: Callable[[], float]) -> float:
    """How far ``time.monotonic`` is ahead of a clock: the least of a few readings, between which nobody may come."""
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
    return {getattr(signal, name) for name in _WORDS if hasattr(signal, name)}


def _word(number: int) -> str:
    return _WORDS[signal.Signals(number).name]


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
        os.write(2, f"{_word(number)}\n".encode("ascii"))
    os._exit(EXIT_SIGNAL + number)


def _except_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        complain(word(error))
        end(exit_code(error), at_once=True)
    sys.__excepthook__(kind, error, trace)
