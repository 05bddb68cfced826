"""Where this package keeps what it has measured or prepared once: a folder of the user's own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

FOLDER_VARIABLE = "MDX_CACHE_DIR"
"""Environment variable that names the folder."""

_APPLICATION = "mdx-submission"


def cache_folder() -> Path:
    """The folder for files that can be made again, by the platform's own custom; it need not exist yet.

    MDX_CACHE_DIR where it is set, else below XDG_CACHE_HOME or ``~/.cache``, ``~/Library/Caches`` on macOS,
    LOCALAPPDATA on Windows.
    """
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / _APPLICATION
    custom = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return (Path(custom) if custom else Path.home() / ".cache") / _APPLICATION
