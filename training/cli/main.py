"""Parser and entry point of all stages."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence

from evaluator.errors import EvaluationError
from my_submission.errors import MdxError
from terminal import process
from terminal.extras import explained_absence
from terminal.lines import CommandParser, complain, log_to_stderr
from terminal.paths import explained_paths
from training.cli import (
    cinema_commands,
    convert_commands,
    corpus_commands,
    fit_commands,
    phase2_commands,
)

STAGES = (
    *corpus_commands.STAGES,
    *cinema_commands.STAGES,
    *fit_commands.STAGES,
    *phase2_commands.STAGES,
    *convert_commands.STAGES,
)
FAILED = 1

SETTING = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z0-9_]+)*=")
"""Start of an argument that changes a setting; options and paths do not match."""


def parser() -> CommandParser:
    """Return the parser, with one subcommand per stage."""
    root = CommandParser(prog="python -m training", description="Train separation networks, one subcommand per stage.")
    stages = root.add_subparsers(required=True, metavar="STAGE")
    for stage in STAGES:
        more = "; key=value arguments change settings, such as data.batch=4" if stage.has_settings else ""
        added = stages.add_parser(stage.name, help=stage.purpose, description=f"{stage.purpose}{more}")
        stage.add(added)
        added.set_defaults(act=stage.act, has_settings=stage.has_settings)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage; returns the exit code. Expected errors are one line on standard error and exit code 1."""
    log_to_stderr(logging.INFO, "%(asctime)s %(message)s")
    given = sys.argv[1:] if arguments is None else arguments
    overrides = [word for word in given if SETTING.match(word)]
    try:
        with explained_absence(MdxError, "train"), explained_paths(MdxError):
            return _run(given, overrides)
    except (MdxError, EvaluationError) as error:
        complain(f"{error}")
        return FAILED
    except (KeyboardInterrupt, SystemExit) as ending:  # Lightning raises SystemExit
        stop = ending if isinstance(ending, KeyboardInterrupt) else process.stop_requested()
        if stop is None:
            raise
        complain(f"{process.stop_message(stop)}; complete files are kept")
        return process.exit_code(stop)


def _run(given: Sequence[str], overrides: list[str]) -> int:
    root = parser()
    options = root.parse_args([word for word in given if not SETTING.match(word)])
    if overrides and not options.has_settings:
        root.error(f"this stage takes no settings: {', '.join(overrides)}")
    options.overrides = overrides
    options.act(options)
    return 0
