"""The command line: a thin door over the predictor and the weights."""

from my_submission.cli.main import main

__all__ = ["main"]
