"""Lines on a terminal, with control sequences in their text escaped."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

from terminal.names import shown

_FEWEST_COLUMNS = 40


def say(line: str, file: TextIO | None = None) -> None:
    """Print one line to ``file``, by default standard output."""
    print(shown(line), file=file or sys.stdout, flush=True)


def complain(line: str) -> None:
    """Print one line to standard error."""
    say(line, sys.stderr)


def columns() -> int | None:
    """Return the width of the terminal that standard output goes to, at least 40; None for a file or a pipe.

    The variable COLUMNS overrides it.
    """
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return max(_FEWEST_COLUMNS, int(asked))
    return max(_FEWEST_COLUMNS, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


@contextmanager
def quiet_output(*, is_quiet: bool) -> Iterator[None]:
    """Drop what a ``with`` block prints to standard output, if the user has asked for errors only."""
    if not is_quiet:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nothing, redirect_stdout(nothing):
        yield


def log_to_stderr(level: int, form: str = "%(levelname)s: %(message)s") -> None:
    """Send the log of this process to standard error, one line per message; tracebacks keep their lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter(form))
    logging.basicConfig(level=level, handlers=[handler])


class CommandParser(ArgumentParser):
    """An argument parser that escapes control sequences in its messages."""

    def _print_message(self, message: str, file: TextIO | None = None) -> None:  # type: ignore[override]
        super()._print_message("\n".join(map(shown, message.split("\n"))), file)


class _LineFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        return shown(super().formatMessage(record))
