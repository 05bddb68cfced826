"""The command line: arguments, terminal output and exit codes around the library."""

from my_submission.cli.main import main

__all__ = ["main"]
