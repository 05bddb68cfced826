"""A song from standard input."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from my_submission.audio_io import folder_name
from my_submission.errors import InputError, MdxError

STANDARD_INPUT = Path("-")
"""The input that stands for standard input."""

DEFAULT_NAME = "stdin"


@dataclass(frozen=True)
class GivenInputs:
    """The inputs of a run as files and folders.

    Attributes:
        paths: paths of the inputs.
        copy: temporary file with the content of standard input; None if it is not an input.
    """

    paths: tuple[Path, ...]
    copy: Path | None = None

    def restated(self, error: MdxError) -> MdxError:
        """Return an error about the temporary file as one about standard input; any other error is unchanged."""
        if self.copy is None or error.where != str(self.copy):
            return error
        return type(error)(error.problem, where="standard input", hint=error.hint)


@contextmanager
def inputs_as_files(inputs: Sequence[Path], name: str) -> Iterator[GivenInputs]:
    """Yield the inputs with standard input as a temporary file, which is deleted afterwards.

    Args:
        inputs: files and folders; ``-`` stands for standard input.
        name: name of the song on standard input.

    Raises:
        InputError: standard input is empty.
    """
    if STANDARD_INPUT not in inputs:
        yield GivenInputs(tuple(inputs))
        return
    with tempfile.TemporaryDirectory(prefix="mdx-") as scratch:
        file = Path(scratch) / DEFAULT_NAME / folder_name(name)
        file.parent.mkdir()
        with file.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        if not file.stat().st_size:
            raise InputError("it is empty", where="standard input", hint="pipe an audio file into it, or name a file")
        paths = dict.fromkeys(file if given == STANDARD_INPUT else given for given in inputs)  # "-" is read once
        yield GivenInputs(tuple(paths), file)


def refuse_terminal(inputs: list[Path]) -> list[Path]:
    """Return the inputs, unless a song would be read from a keyboard.

    Raises:
        typer.BadParameter: standard input is a terminal.
    """
    if STANDARD_INPUT in inputs and sys.stdin.isatty():
        raise typer.BadParameter("- is standard input, which is this terminal; pipe an audio file into it")
    return inputs
