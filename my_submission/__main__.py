"""``python -m my_submission``, and the console script: the command line."""

from __future__ import annotations

import sys
from typing import NoReturn

from my_submission.cli import main
from my_submission.cli.huge_pages import restart_with_huge_pages
from my_submission.cli.main import SEPARATING


def run() -> NoReturn:
    """Run the command line and end the process, even while something in it hangs."""
    if SEPARATING.intersection(sys.argv[1:]):
        restart_with_huge_pages()
    code = main()
    if "my_submission.predictor.worker" not in sys.modules:  # commands that separate nothing load nothing heavy
        sys.exit(code)
    from my_submission.predictor import leave

    leave(code)


if __name__ == "__main__":
    run()
