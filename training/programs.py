"""External programs, which are stopped when they hang."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import IO, cast

from my_submission.errors import InputError, MdxError

MAX_SECONDS = 300.0
"""Time limit of a program that works on a few seconds of sound."""

MAX_IDLE_SECONDS = 120.0
"""Longest time without output of a program that writes sound while it renders."""

BLOCK_BYTES = 1 << 16


def require_program(name: str, *, package: str | None = None) -> None:
    """Check that a program is installed.

    Args:
        name: the executable.
        package: Debian package that contains it; the name of the executable by default.

    Raises:
        InputError: it is not on the PATH.
    """
    if shutil.which(name) is None:
        raise InputError(f"the program {name} is not installed", hint=f"install it (apt-get install {package or name})")


def run(
    command: Sequence[str | PathLike[str]],
    *,
    where: str | PathLike[str] | None = None,
    seconds: float | None = None,
) -> None:
    """Run a program to its end.

    Args:
        command: the program and its arguments.
        where: the file it works on, for error messages.
        seconds: time limit; :data:`MAX_SECONDS` by default.

    Raises:
        MdxError: the program failed or exceeded the limit; the message ends with its standard error.
    """
    max_seconds = MAX_SECONDS if seconds is None else seconds
    try:
        done = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=max_seconds)
    except subprocess.TimeoutExpired as error:
        raise _hanging(str(command[0]), f"had not finished after {max_seconds:g} s", where) from error
    if done.returncode:
        message = " ".join(done.stderr.decode(errors="replace").split()[-30:])
        raise MdxError(f"{Path(command[0]).name} failed ({message or f'exit code {done.returncode}'})", where=where)


def read_output(
    command: Sequence[str], n_bytes: int, errors: Path, *, where: str | PathLike[str] | None = None
) -> tuple[bytes, bool, int]:
    """Read the standard output of a program up to a limit; a program that writes more is killed.

    Args:
        command: the program and its arguments.
        n_bytes: maximum number of bytes to read.
        errors: file that receives its standard error.
        where: the file it works on, for error messages.

    Returns:
        The output, whether it was cut at the limit, and the exit code (0 for a cut output).

    Raises:
        MdxError: the program wrote nothing for :data:`MAX_IDLE_SECONDS` and was killed.
    """
    with (
        errors.open("wb") as error_file,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=error_file) as process,
        _Watchdog(process, MAX_IDLE_SECONDS) as watchdog,
    ):
        output, head = cast("IO[bytes]", process.stdout), bytearray()
        while len(head) < n_bytes and (block := output.read(min(BLOCK_BYTES, n_bytes - len(head)))):
            head += block
            watchdog.reset()
        is_cut = bool(output.read(1))
        if is_cut:
            process.kill()
        code = process.wait()
    if watchdog.has_killed:
        raise _hanging(command[0], f"wrote nothing for {MAX_IDLE_SECONDS:g} s", where)
    return bytes(head), is_cut, 0 if is_cut else code


def _hanging(program: str, problem: str, where: str | PathLike[str] | None) -> MdxError:
    hint = "remove its input, or try another version of the program"
    return MdxError(f"{Path(program).name} {problem} and was stopped", where=where, hint=hint)


class _Watchdog:
    """Thread that kills a process unless :meth:`reset` is called at least once per interval.

    Attributes:
        has_killed: whether it killed the process.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._process = process
        self._seconds = seconds
        self._is_over = threading.Event()
        self._is_alive = False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.has_killed = False

    def __enter__(self) -> _Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def reset(self) -> None:
        """Record that the process is alive."""
        self._is_alive = True

    def _watch(self) -> None:
        while not self._is_over.wait(self._seconds):
            if not self._is_alive:
                self.has_killed = True
                self._process.kill()
                return
            self._is_alive = False
