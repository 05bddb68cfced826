"""``python -m evaluator``."""

from __future__ import annotations

from typing import NoReturn

from terminal import process


def run() -> NoReturn:
    """Run the command line and end the process."""
    process.begin()
    from evaluator.cli import main

    process.end_in_order()
    process.end(main())


if __name__ == "__main__":
    run()
