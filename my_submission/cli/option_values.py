"""Values of options: numbers, words of a list, and what a shell completes them to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import typer


def positive_number(text: str) -> float:
    """Return a finite number above zero."""
    value = _float(text)
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"{text[:40]} is not a number above zero")
    return value


def amount(text: str) -> float:
    """Return a finite number, zero or above."""
    value = _float(text)
    if not 0 <= value < math.inf:
        raise typer.BadParameter(f"{text[:40]} is negative or infinite")
    return value


def positive_integer(text: str) -> int:
    """Return a whole number above zero."""
    value = _int(text)
    if value < 1:
        raise typer.BadParameter(f"{text[:40]} is not a whole number above zero")
    return value


def count(text: str) -> int:
    """Return a whole number, zero or above."""
    value = _int(text)
    if value < 0:
        raise typer.BadParameter(f"{text[:40]} is below zero")
    return value


def kilobits(text: str) -> int:
    """Return a bit rate in kbit/s; a "k" may follow it."""
    return positive_integer(str(text).lower().removesuffix("k"))


def choice(*names: str, of: Sequence[str], help_text: str, panel: str | None = None, has_several: bool = False) -> Any:
    """Return an option whose value is one of some words; the shell completes them.

    Args:
        names: names of the option, such as ``--format`` and ``-f``.
        of: the words, in which capitals make no difference; an unknown one is answered with the nearest.
        help_text: for the help; the words follow it.
        panel: panel of the help.
        has_several: whether it takes several, with commas between them; :func:`split` takes them apart.
    """

    def read(text: str) -> str:
        known = {word.casefold(): word for word in of}
        words = split([text]) if has_several else [text]
        for word in words:
            if word.casefold() not in known:
                raise typer.BadParameter(f"{word[:40]!r} is not one of {', '.join(of)}{did_you_mean(word, of)}")
        return ",".join(known[word.casefold()] for word in words)

    def complete(incomplete: str) -> list[str]:
        return [word for word in of if word.startswith(incomplete)]

    return typer.Option(
        *names,
        parser=read,
        autocompletion=complete,
        metavar="NAME",
        rich_help_panel=panel,
        help=f"{help_text}: {', '.join(of)}.",
    )


def split(texts: Iterable[str]) -> list[str]:
    """Return the words of strings that each contain one or more, separated by commas; each word once."""
    words = [word.strip() for text in texts for word in text.split(",")]
    return list(dict.fromkeys(word for word in words if word))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" for the nearest of the known words; empty if none is near."""
    names = list(known)
    near = [name for name in names if len(word) > 3 and name.startswith(word)] or get_close_matches(word, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def no_such_command(word: str, known: list[str]) -> str:
    """Return what is wrong with the name of a command."""
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"there is no command {word!r}" + (f"; did you mean {near[0]}?" if near else f": {', '.join(known)}")


def complete_devices(incomplete: str) -> list[str]:
    """Return devices, for the shell."""
    return [name for name in ("auto", "cpu", "cuda", "cuda:0") if name.startswith(incomplete)]


def complete_systems(incomplete: str) -> list[tuple[str, str]]:
    """Return systems and their titles, for the shell; in a list with commas the last one is completed."""
    from my_submission.systems import SYSTEMS

    before, comma, begun = incomplete.rpartition(",")
    found = [(name, recipe.title) for name, recipe in SYSTEMS.items() if name.startswith(begun)]
    return [(f"{before}{comma}{name}", title) for name, title in found]


def complete_artefacts(incomplete: str) -> list[tuple[str, str]]:
    """Return systems and the artefacts of the manifest, for the shell."""
    from my_submission.errors import MdxError
    from my_submission.weights import ModelsFolder

    try:
        artefacts = ModelsFolder().artefacts
    except MdxError:
        artefacts = ()
    names = [artefact.name for artefact in artefacts if artefact.name.startswith(incomplete)]
    return complete_systems(incomplete) + [(name, "weights") for name in names]


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text[:40]!r} is not a number") from error


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:  # no digits, or more of them than Python reads
        raise typer.BadParameter(f"{text[:40]!r} is not a whole number that can be used here") from error
