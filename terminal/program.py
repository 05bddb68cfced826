"""The name by which this program was started, for help and for the commands that messages advise."""

from __future__ import annotations

import sys
from pathlib import PurePath

CONSOLE_SCRIPT = "mdx"
"""The console script that an installation adds."""

AS_MODULE = "python -m my_submission"
"""Command that starts the same program from a checkout."""


def program_name() -> str:
    """Return ``mdx`` in a process that was started by the console script, else ``python -m my_submission``."""
    started = PurePath(sys.argv[0] if sys.argv else "").name
    return CONSOLE_SCRIPT if started in {CONSOLE_SCRIPT, f"{CONSOLE_SCRIPT}.exe"} else AS_MODULE
