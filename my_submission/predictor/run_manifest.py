"""What a run was made with: system, weights by content, versions, machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from my_submission.predictor.core import Predictor
from my_submission.version import __version__
from my_submission.weights import sha256_of

PACKAGES = ("numpy", "scipy", "soundfile", "soxr", "av", "onnxruntime-gpu", "onnxruntime", "torch")
"""Packages whose version can change a sample."""


def run_manifest(predictor: Predictor, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What every song of a run has in common, as plain values, ready for JSON.

    Args:
        predictor: what separates.
        settings: the options that can change a sample, such as the budget.
    """
    system = predictor.system
    return {
        "schema": 1,
        "system": system.recipe.name,
        "settings": dict(settings),
        "weights": {name: sha256_of(path) for name, path in system.weights.items()},
        "runs_on": list(system.runs_on),
        "versions": {"my_submission": __version__, "python": platform.python_version(), **_versions()},
        "machine": {"system": platform.platform(), "processor": platform.machine()},
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
