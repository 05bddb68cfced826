"""The command line: ``python -m my_submission`` and the console script."""

from __future__ import annotations

import sys

from terminal import early

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes time, during which an interrupt would show a traceback
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line and end the process, even while something in it hangs."""
    early.listen()
    from terminal import process

    process.begin()
    from my_submission.cli.huge_pages import restart_with_huge_pages
    from my_submission.cli.main import SEPARATING, main

    if SEPARATING.intersection(sys.argv[1:]) and not {"-h", "--help"}.intersection(sys.argv[1:]):
        restart_with_huge_pages()
    code = main()
    if "my_submission.predictor.worker" not in sys.modules:  # commands that separate nothing load nothing heavy
        process.end(code)
    from my_submission.predictor import leave

    leave(code)


if __name__ == "__main__":
    run()
