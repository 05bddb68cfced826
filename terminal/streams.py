"""Standard streams that do not fail: on a closed pipe, a full disk or an ASCII terminal the command goes on.

Characters that a stream cannot encode are written as backslash escapes. Output to a closed pipe, as after ``| head``,
is dropped. A stream that was closed before the command began is opened on /dev/null, so that no file opened later gets
its descriptor.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO


class _StandardStream(io.TextIOWrapper):
    """A standard stream that drops its output after the first failed write."""

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
        """Redirect the descriptor to /dev/null and drop buffered output."""
        if not isinstance(error, BrokenPipeError):
            self.failure = error
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.fileno())
        os.close(nothing)
        super().flush()


def protect() -> None:
    """Replace standard output and standard error by streams that do not fail."""
    _open_closed()
    sys.stdout = _protected(sys.stdout or sys.__stdout__, 1)
    sys.stderr = _protected(sys.stderr or sys.__stderr__, 2)


def flush() -> OSError | None:
    """Flush both streams and return why standard output lost data, or None; a closed pipe does not count."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or not one of ours
            stream.flush()
    return sys.stdout.failure if isinstance(sys.stdout, _StandardStream) else None


def _open_closed() -> None:
    """Open /dev/null in place of closed standard streams."""
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
