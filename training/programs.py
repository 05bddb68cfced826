"""Other people's programs, stopped where they hang."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import IO, cast

from my_submission.errors import MdxError

LONGEST_SECONDS = 300.0
"""A program that works on seconds of sound has not finished after five minutes: it hangs."""

LONGEST_SILENCE_SECONDS = 120.0
"""A program that writes sound as it makes it hangs where nothing has come for two minutes."""

BLOCK_BYTES = 1 << 16


def run(
    command: Sequence[str | PathLike[str]],
    *,
    where: str | PathLike[str] | None = None,
    seconds: float | None = None,
) -> None:
    """Runs a program to its end.

    Args:
        command: the program and its arguments.
        where: what it works on, for messages.
        seconds: after which it is stopped; :data:`LONGEST_SECONDS` when absent.

    Raises:
        MdxError: it was stopped, or failed; the message has the end of what it said.
    """
    longest = LONGEST_SECONDS if seconds is None else seconds
    try:
        done = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=longest)
    except subprocess.TimeoutExpired as error:
        raise _hanging(str(command[0]), f"had not finished after {longest:g} s", where) from error
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split()[-30:])
        raise MdxError(f"{Path(command[0]).name} failed ({said or f'exit code {done.returncode}'})", where=where)


def begin_of_output(
    command: Sequence[str], n_bytes: int, errors: Path, *, where: str | PathLike[str] | None = None
) -> tuple[bytes, bool, int]:
    """The first bytes that a program writes, whether it was stopped since it wrote more, and its exit code (then 0).

    Args:
        command: the program and its arguments.
        n_bytes: as many are read at most.
        errors: file that takes what it says on standard error.
        where: what it works on, for messages.

    Raises:
        MdxError: nothing came for :data:`LONGEST_SILENCE_SECONDS`; it was stopped.
    """
    with (
        errors.open("wb") as said,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as process,
        _Watch(process, LONGEST_SILENCE_SECONDS) as watch,
    ):
        output, head = cast("IO[bytes]", process.stdout), bytearray()
        while len(head) < n_bytes and (block := output.read(min(BLOCK_BYTES, n_bytes - len(head)))):
            head += block
            watch.heard()
        is_cut = bool(output.read(1))
        if is_cut:
            process.kill()
        code = process.wait()
    if watch.has_stopped_it:
        raise _hanging(command[0], f"wrote nothing for {LONGEST_SILENCE_SECONDS:g} s", where)
    return bytes(head), is_cut, 0 if is_cut else code


def _hanging(program: str, what: str, where: str | PathLike[str] | None) -> MdxError:
    hint = "remove what it works on, or try another version of the program"
    return MdxError(f"{Path(program).name} {what} and was stopped", where=where, hint=hint)


class _Watch:
    """Ends a process that has not been heard for too long, from a thread of its own.

    Attributes:
        has_stopped_it: whether it did.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._process = process
        self._seconds = seconds
        self._is_over = threading.Event()
        self._was_heard = False
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self.has_stopped_it = False

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def heard(self) -> None:
        """Says that the process is alive."""
        self._was_heard = True

    def _keep(self) -> None:
        while not self._is_over.wait(self._seconds):
            if not self._was_heard:
                self.has_stopped_it = True
                self._process.kill()
                return
            self._was_heard = False
