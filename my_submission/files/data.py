"""The user's data folder, for files that were fetched and should stay."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_data_path

from my_submission.files.cache import APPLICATION


def data_folder() -> Path:
    """Return the platform's data folder of this program for this user; it need not exist yet."""
    return user_data_path(APPLICATION, appauthor=False)
