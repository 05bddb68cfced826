"""Usage errors in two lines: the error, and the command that shows the correct usage."""

from __future__ import annotations

from typing import Any

import typer
import typer.core

from my_submission.cli.option_values import did_you_mean


def usage_lines(error: typer.TyperException, command: str) -> tuple[str, str]:
    """Return the two lines for a wrong command line.

    Args:
        error: raised while the command line was read.
        command: whose help is named if the error does not name one.
    """
    context = getattr(error, "ctx", None)
    return f"error: {_problem(error, context)}", f"help: {context.command_path if context else command} --help"


def _problem(error: Any, context: Any) -> str:
    """Return what is wrong. The kinds of typer's errors are private, so their attributes tell them apart."""
    if hasattr(error, "possibilities"):
        known = [] if context is None else _options(context)
        return f"there is no option {error.option_name}{did_you_mean(error.option_name, known)}"
    param = getattr(error, "param", None)
    if param is None:
        return _sentence(error.message)
    if hasattr(error, "param_type"):
        return f"{_name(param)} is missing"
    return f"{_name(param)}: {_sentence(error.message)}"


def _name(param: Any) -> str:
    if isinstance(param, typer.core.TyperOption):
        return max(param.opts, key=len)
    return str(param.metavar or param.name).rstrip(".")


def _options(context: Any) -> list[str]:
    options = [param for param in context.command.get_params(context) if isinstance(param, typer.core.TyperOption)]
    return [name for option in options for name in option.opts if name.startswith("--")]


def _sentence(message: str) -> str:
    """Return a message of typer as this program writes them: from a small letter, without a full stop."""
    text = message.rstrip(".")
    is_abbreviation = text[1:2].isupper()  # "MP3 has no …"
    return text if is_abbreviation else text[:1].lower() + text[1:]
