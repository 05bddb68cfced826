"""The networks that can be trained: one file each, found by being here."""

from __future__ import annotations

import importlib
import pkgutil


def register_all() -> None:
    """Imports every module of this package, so that its kind of network is known to experiments."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
