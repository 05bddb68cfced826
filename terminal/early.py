"""The first moments of a command: a signal ends it with one line while it still imports what it needs.

Nothing is imported here that the interpreter has not imported itself, for that would take time in which a signal ends
in a traceback. ``terminal.process`` takes over.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

_SAID = {"SIGINT": b"interrupted\n", "SIGTERM": b"terminated\n", "SIGHUP": b"the terminal was closed\n"}


def listen() -> None:
    """End this process at once, with one line, when a signal asks for it that was not ignored before."""
    for name in _SAID:
        number = getattr(_signal, name, None)
        if number is not None and _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    said = next(text for name, text in _SAID.items() if getattr(_signal, name, None) == number)
    try:
        os.write(2, said)
    finally:
        os._exit(128 + number)
