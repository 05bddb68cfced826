"""Places of weights: the models folder that comes with the program, and the folder of fetched weights."""

from __future__ import annotations

import os
from pathlib import Path

from my_submission.files.data import data_folder
from my_submission.weights.manifest import MANIFEST_NAME

WEIGHTS_VARIABLE = "MDX_WEIGHTS_DIR"
"""Environment variable that names the folder of fetched weights."""

_IN_PACKAGE = Path(__file__).resolve().parents[1] / "models"
_IN_CHECKOUT = Path(__file__).resolve().parents[2] / "models"

DEFAULT_MODELS_DIR = _IN_PACKAGE if (_IN_PACKAGE / MANIFEST_NAME).is_file() else _IN_CHECKOUT
"""The models folder used if no other is given: inside an installed package, else of the checkout."""


def is_installed(models: Path) -> bool:
    """Return whether a models folder is part of an installed package, where nothing may be written."""
    return models == _IN_PACKAGE


def fetched_folder(models: Path) -> Path:
    """Return the folder that artefacts of the default models folder are fetched into.

    It is MDX_WEIGHTS_DIR if that is set, ``weights`` in the user's data folder for an installed package, and the
    models folder itself for a checkout.
    """
    if named := os.environ.get(WEIGHTS_VARIABLE):
        return Path(named).expanduser().resolve()
    return data_folder() / "weights" if is_installed(models) else models
