"""Signal handlers for the time in which a command still imports its modules: a signal ends it with one line.

Imports only modules that the interpreter has loaded already, because any other import would leave a gap in which a
signal ends in a traceback. ``terminal.process`` replaces these handlers.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

MESSAGES = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "the terminal was closed"}
"""Signals that ask a process to end, and the message for each."""


def listen() -> None:
    """Install handlers that end this process at once, with one line; signals ignored so far stay ignored."""
    for name in MESSAGES:
        number = getattr(_signal, name, None)
        if number is not None and _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    message = next(text for name, text in MESSAGES.items() if getattr(_signal, name, None) == number)
    try:
        os.write(2, f"{message}\n".encode("ascii"))
    finally:
        os._exit(128 + number)
