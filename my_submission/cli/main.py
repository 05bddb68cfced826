"""Commands, their arguments, and the exit codes of their errors."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from my_submission.errors import MdxError, UnknownNameError
from my_submission.version import __version__
from terminal import process
from terminal.lines import CommandParser, complain, log_to_stderr

COMMANDS = {
    "separate": "separate songs into stems",
    "evaluate": "separate a data set, score it and compare the scores with the published leaderboards",
    "web": "serve a web page that separates songs, shows and plays the stems, mixes and downloads them",
    "batch": "separate a whole catalogue over a Ray cluster or this machine, and score a data set",
    "systems": "list every system: sources, weights, cutoffs, published score, licence",
    "fetch": "download weights, with resume and verification",
    "verify": "check the weights in the models folder",
    "doctor": "check which systems this machine can run, how fast, and whether the challenges' limits would be met",
    "submit": "check, pack and rehearse a submission before it is pushed",
}

SEPARATING = frozenset({"separate", "evaluate", "web", "batch", "doctor"})
"""Commands that separate songs, and so allocate gigabytes."""

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """Return the parser. Only the module of the chosen command is imported, so that help is quick."""
    parser = CommandParser(prog="my_submission", description="Music demixing inside a time limit.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("-v", "--verbose", action="store_true", help="log progress to standard error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[:1].upper() + summary[1:] + ".")
        if name == chosen:
            importlib.import_module(f"my_submission.cli.{name}").add_arguments(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done; 1 the work failed; 2 wrong usage; 130 interrupted, 143 terminated.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    chosen = next((word for word in words if word in COMMANDS), None)
    try:
        parsed = build_parser(chosen).parse_args(words)
    except SystemExit as stop:  # argparse has printed why
        return int(stop.code or 0)
    log_to_stderr(logging.INFO if parsed.verbose else logging.WARNING)
    module = importlib.import_module(f"my_submission.cli.{parsed.command}")
    try:
        process.end_in_order()
        return int(module.run(parsed))
    except UnknownNameError as error:
        complain(f"error: {error}")
        return EXIT_USAGE
    except MdxError as error:
        complain(f"error: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt as stop:
        complain(f"{process.word(stop)}; completed songs are kept")
        return process.exit_code(stop)
