"""Lightning modules and settings of all networks that can be trained, one file per kind."""

from __future__ import annotations

import importlib
import pkgutil


def register_all() -> None:
    """Import every module of this package, which registers its kinds of networks."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
