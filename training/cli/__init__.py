"""The training wing's door: one subcommand a stage."""

from training.cli.main import main, parser

__all__ = ["main", "parser"]
