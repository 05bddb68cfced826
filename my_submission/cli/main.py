"""The commands, and the exit codes of their errors."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from my_submission.cli.grouped_options import CONTEXT, ActionGroup, Call, Command, Messages
from my_submission.cli.usage import usage_lines
from my_submission.errors import MdxError, UnknownNameError
from my_submission.version import __version__
from terminal import process
from terminal.extras import explained_absence
from terminal.lines import complain, log_to_stderr
from terminal.paths import explained_paths
from terminal.program import CONSOLE_SCRIPT, program_name

COMMANDS = {
    "separate": ("Songs", "Separate songs into stems."),
    "batch": ("Songs", "Separate a whole catalogue on this machine or a Ray cluster, and score a data set."),
    "web": ("Songs", "Serve a web page that separates songs, plays, mixes and downloads the stems."),
    "systems": ("Systems and weights", "List every system: stems, quality, size, and whether it is ready."),
    "fetch": ("Systems and weights", "Download the weights of a system, with resume and verification."),
    "verify": ("Systems and weights", "Check the weights in the models folder."),
    "doctor": ("Systems and weights", "Tell which systems this machine can run, and how fast."),
    "blend": ("Systems and weights", "Find the best blend of several systems on songs with true stems."),
    "evaluate": ("Challenge", "Separate a data set, score it and compare the scores with the leaderboards."),
    "submit": ("Challenge", "Check, pack and rehearse a submission before it is pushed."),
}
"""Command to the panel of the help that lists it, and its summary."""

SEPARATING = frozenset({"separate", "blend", "evaluate", "web", "batch", "doctor"})
"""Commands that separate songs, and so allocate gigabytes."""

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

EPILOG = "Start with: {program} separate song.mp3"


class CommandGroup(ActionGroup):
    """The commands; only the module of the chosen one is imported, so that help is quick."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command with its name and summary, for help and completion."""
        if cmd_name not in COMMANDS:
            return None
        panel, summary = COMMANDS[cmd_name]
        return typer.core.TyperCommand(cmd_name, help=summary, rich_help_panel=panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the chosen command with its options, and the words after it."""
        if args[0] not in COMMANDS:
            return super().resolve_command(ctx, args)
        return args[0], importlib.import_module(f"my_submission.cli.{args[0]}").command, args[1:]


def build_command() -> Command:
    """Return the command of this program."""
    program = program_name()
    app = typer.Typer(
        cls=CommandGroup,
        add_completion=program == CONSOLE_SCRIPT,
        rich_markup_mode="rich",
        context_settings=CONTEXT,
        epilog=EPILOG.format(program=program),
        subcommand_metavar="COMMAND",
    )
    app.callback(invoke_without_command=True)(_root)
    command: Command = typer.main.get_command(app)  # type: ignore[assignment]
    return command


def _root(
    context: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print the log and more detail.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Separate songs into stems: vocals, drums, bass and other, within a time limit if there is one."""
    context.obj = Messages(quiet, verbose)
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help(), end="")
        raise typer.Exit(EXIT_USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done; 1 the work failed; 2 wrong usage; 130 interrupted, 143 terminated.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with explained_absence(MdxError):
            read = _read(words)
    except SystemExit as stop:  # completion of a shell has been answered
        return int(stop.code or 0)
    except typer.TyperException as error:
        chosen = [word for word in words if word in COMMANDS][:1]
        for line in usage_lines(error, " ".join([program_name(), *chosen])):
            complain(line)
        return EXIT_USAGE
    except MdxError as error:
        complain(f"error: {error}")
        return EXIT_FAILED
    return read if isinstance(read, int) else _run(read)


def _read(words: list[str]) -> Call | int:
    """Return the chosen command with its arguments; an exit code after help or the version."""
    read: Any = build_command().main(words, prog_name=program_name(), standalone_mode=False)
    return read if isinstance(read, Call) else int(read or 0)


def _run(call: Call) -> int:
    log_to_stderr(logging.INFO if call.messages.verbose else logging.WARNING)
    try:
        process.end_in_order()
        with explained_absence(MdxError), explained_paths(MdxError):
            return call.run()
    except UnknownNameError as error:
        complain(f"error: {error.problem}" if error.where is None else f"error: {error.where}: {error.problem}")
        complain(f"help: {error.hint or program_name() + ' --help'}")
        return EXIT_USAGE
    except MdxError as error:
        complain(f"error: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt as stop:
        complain(f"{process.stop_message(stop)}; completed songs are kept")
        return process.exit_code(stop)
