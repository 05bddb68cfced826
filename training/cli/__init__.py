"""The command line ``python -m training``, with one subcommand per stage."""

from training.cli.main import main, parser

__all__ = ["main", "parser"]
