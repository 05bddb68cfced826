"""Standard streams that cannot break a command: a reader that has had enough, a full disk, a terminal that knows ASCII.

Whatever a stream cannot encode is written as a backslash and a number. When the reader of a pipe is gone, as after
``| head -1``, what is written to it is dropped and the work goes on. A stream that was closed before the command began
is opened on nothing, so that no file of the work gets its number.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO


class _StandardStream(io.TextIOWrapper):
    """A standard stream; when it cannot be written any more, whatever comes is dropped."""

    failure: OSError | None = None

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Let the stream's number mean nothing from now on, and drop what waits to be written."""
        if not isinstance(error, BrokenPipeError):
            self.failure = error
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.fileno())
        os.close(nothing)
        super().flush()


def protect() -> None:
    """Replace standard output and error of this process by streams that cannot break it."""
    _open_closed()
    sys.stdout = _protected(sys.stdout or sys.__stdout__, 1)
    sys.stderr = _protected(sys.stderr or sys.__stderr__, 2)


def flush() -> OSError | None:
    """Flush both; why standard output lost something that its reader wanted, or None."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or not one of ours
            stream.flush()
    return sys.stdout.failure if isinstance(sys.stdout, _StandardStream) else None


def _open_closed() -> None:
    """Open nothing in place of standard streams that are closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)


def _protected(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:  # it was closed when the interpreter began
        stream = os.fdopen(number, "w", encoding="utf-8", closefd=False)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    try:
        if stream.fileno() != number:
            raise ValueError("not a standard stream of the system")
    except (OSError, ValueError):
        stream.reconfigure(errors="backslashreplace")
        return stream
    stream.flush()
    return _StandardStream(
        io.BufferedWriter(io.FileIO(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
