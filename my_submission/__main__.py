"""``python -m my_submission``: the command line."""

import sys

from my_submission.cli import main

if __name__ == "__main__":
    sys.exit(main())
