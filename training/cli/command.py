"""What a subcommand is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from my_submission.files.cache import cache_folder
from my_submission.weights.folder import DEFAULT_MODELS_DIR

SEED = 2021
DEFAULT_RUNS = Path("runs")


@dataclass(frozen=True)
class TrainingCommand:
    """One subcommand: its name, purpose, arguments and work; whether it takes ``key=value`` settings."""

    name: str
    purpose: str
    add: Callable[[argparse.ArgumentParser], None]
    act: Callable[[argparse.Namespace], None]
    has_settings: bool = False


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """The argument that names an experiment."""
    parser.add_argument("experiment", help="name of a configuration, such as starter/vocals, or a path to a .toml")


def add_data(parser: argparse.ArgumentParser) -> None:
    """The arguments that name songs."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of song folders, one a collection")
    parser.add_argument("--valid", type=Path, nargs="+", default=[], help="folders of songs to validate on")


def add_cache(parser: argparse.ArgumentParser) -> None:
    """The argument that names the folder of remembered measurements."""
    default = cache_folder() / "training"
    parser.add_argument("--cache", type=Path, default=default, help=f"folder of remembered levels ({default})")


def add_models(parser: argparse.ArgumentParser) -> None:
    """The argument that names a models folder."""
    parser.add_argument(
        "--models-dir", type=Path, default=DEFAULT_MODELS_DIR, help="models folder, for instance a folder of runs"
    )
