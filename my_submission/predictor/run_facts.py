"""Facts that all songs of a run share: system, weights by content, versions, machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from typing import Any

from my_submission.systems import LoadedSystem
from my_submission.version import __version__

PACKAGES = ("numpy", "scipy", "soundfile", "soxr", "av", "onnxruntime-gpu", "onnxruntime", "torch")
"""Packages whose version can change a sample."""


def run_facts(system: LoadedSystem, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that all songs of a run share, as plain values for JSON.

    Args:
        system: the system that separates.
        settings: the options that can change a sample, such as the budget.
    """
    return {
        "schema": 1,
        "system": system.recipe.name,
        "settings": dict(settings),
        "weights": dict(system.weight_digests),
        "runs_on": list(system.runs_on),
        "versions": dict(versions()),
        "machine": {"system": platform.platform(), "processor": platform.machine()},
    }


@lru_cache(maxsize=1)
def versions() -> Mapping[str, str]:
    """Return the versions of this program, Python, and the packages that can change a sample; cached per process."""
    found = {"my_submission": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
