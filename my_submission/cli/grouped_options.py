"""Commands whose parameters are groups of options.

A group is a frozen dataclass whose fields are ``Annotated[type, typer.Option(...)]``. It is declared once and shared by
commands: a command's function takes groups as values, and the command line sees their fields as single options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import partial
from typing import Annotated, Any, TypeAlias, TypeVar, get_type_hints

import typer
import typer.core
import typer.main
from typer.models import TyperPath

from my_submission.cli.option_values import no_such_command
from my_submission.cli.panels import GENERAL

Group = TypeVar("Group")

Command: TypeAlias = typer.core.TyperCommand | typer.core.TyperGroup

CONTEXT = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True)
class Messages:
    """Verbosity of the program; accepted before and after the command."""

    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.", rich_help_panel=GENERAL)] = (
        False
    )
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print the log and more detail.", rich_help_panel=GENERAL)
    ] = False

    def __or__(self, other: Messages) -> Messages:
        """Return the combination of two settings: what at least one of them requests."""
        return Messages(self.quiet or other.quiet, self.verbose or other.verbose)


@dataclass(frozen=True)
class Call:
    """A command whose arguments were read, to be run.

    Attributes:
        run: does the work and returns the exit code.
        messages: how much the program prints.
    """

    run: Callable[[], int]
    messages: Messages


def command_of(function: Callable[..., int], name: str, help_text: str, *, epilog: str | None = None) -> Command:
    """Return the command of a function; invoking it reads the options and returns a :class:`Call`.

    Args:
        function: returns an exit code; its parameters are groups of options, single annotated ones, or ``Messages``.
        name: name of the command.
        help_text: what the command does, for its help.
        epilog: examples.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(name, help=help_text, epilog=epilog, context_settings=CONTEXT)(_flat(function))
    command: Command = typer.main.get_command(app)  # type: ignore[assignment]
    for param in command.params:
        if isinstance(param.type, TyperPath):
            param.type = GivenPath(readable=False)  # the reader's own error names the cure
    return command


class GivenPath(TyperPath):
    """A path on the command line; an empty one, which pathlib takes for the working directory, is refused."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path, unless it is empty."""
        if value == "":
            raise typer.BadParameter("the path is empty; is a variable of the shell not set?", ctx, param)
        return super().convert(value, param, ctx)


def group_of(name: str, help_text: str, commands: Sequence[Command]) -> Command:
    """Return a command that consists of others."""
    return ActionGroup(
        name=name,
        help=help_text,
        commands=commands,
        context_settings=CONTEXT,
        rich_markup_mode="rich",
        subcommand_metavar="ACTION",
    )


class ActionGroup(typer.core.TyperGroup):
    """A group of commands that answers an unknown one with the nearest."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the chosen command and the words after it."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            raise typer.BadParameter(no_such_command(args[0], names), ctx)
        return super().resolve_command(ctx, args)


def _flat(function: Callable[..., int]) -> Callable[..., Call]:
    """Return a function with the fields of all groups as parameters, which returns the call of the function."""
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function)
    groups: dict[str, Any] = {
        name: hint for name, hint in hints.items() if name in signature.parameters and is_dataclass(hint)
    }
    members = {name: [field.name for field in fields(group)] for name, group in groups.items()}
    takes_messages = next((name for name, group in groups.items() if group is Messages), None)
    parameters = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for name, given in signature.parameters.items():
        if name in groups:
            parameters += _parameters(groups[name])
        else:
            parameters.append(given.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))
    parameters += [] if takes_messages else _parameters(Messages)

    def read(context: typer.Context, **values: Any) -> Call:
        messages = _group(Messages, values) | (context.find_root().obj or Messages())
        values |= vars(messages)
        built = {name: _group(groups[name], values) for name in groups}
        taken = {name for names in (*members.values(), vars(messages)) for name in names}
        single = {name: value for name, value in values.items() if name not in taken}
        return Call(partial(function, **single, **built), messages)

    read.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    read.__annotations__ = {each.name: each.annotation for each in parameters}
    return read


def _group(group: type[Group], values: Mapping[str, Any]) -> Group:
    return group(**{field.name: values[field.name] for field in fields(group)})  # type: ignore[arg-type]


def _parameters(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=_default(field), annotation=hints[field.name]
        )
        for field in fields(group)
    ]


def _default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return inspect.Parameter.empty if field.default_factory is MISSING else field.default_factory()
