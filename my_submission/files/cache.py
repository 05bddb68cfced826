"""The user's cache folder, for files that can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

FOLDER_VARIABLE = "MDX_CACHE_DIR"
"""Environment variable that names the folder."""

APPLICATION = "mdx-submission"
"""Name of this program's folders among the user's."""


def cache_folder() -> Path:
    """Return MDX_CACHE_DIR if it is set, else the platform's cache folder of this program; it need not exist yet."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named).expanduser()
    return user_cache_path(APPLICATION, appauthor=False)
