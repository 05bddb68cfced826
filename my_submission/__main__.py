"""``python -m my_submission``, and the console script: the command line."""

from __future__ import annotations

import sys
from typing import NoReturn

from my_submission.cli import main


def run() -> NoReturn:
    """Run the command line and end the process, even while something in it hangs."""
    code = main()
    if "my_submission.predictor.worker" not in sys.modules:  # commands that separate nothing load nothing heavy
        sys.exit(code)
    from my_submission.predictor import leave

    leave(code)


if __name__ == "__main__":
    run()
