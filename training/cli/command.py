"""Subcommands: their type, and arguments and output that several of them share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from my_submission.files.cache import cache_folder
from my_submission.weights.folder import DEFAULT_MODELS_DIR

if TYPE_CHECKING:
    from training.export.graphs import Exported

SEED = 2021
DEFAULT_RUNS = Path("runs")


@dataclass(frozen=True)
class TrainingCommand:
    """One subcommand: name, purpose, arguments, action, and whether it takes ``key=value`` settings."""

    name: str
    purpose: str
    add: Callable[[argparse.ArgumentParser], None]
    act: Callable[[argparse.Namespace], None]
    has_settings: bool = False


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names an experiment."""
    parser.add_argument("experiment", help="name of a configuration, such as starter/vocals, or a path to a .toml")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name songs."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="collections: folders of song folders")
    parser.add_argument("--valid", type=Path, nargs="+", default=[], help="folders of songs to validate on")


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the cache folder."""
    default = cache_folder() / "training"
    parser.add_argument("--cache", type=Path, default=default, help=f"folder of cached levels (default: {default})")


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a models folder."""
    parser.add_argument(
        "--models-dir", type=Path, default=DEFAULT_MODELS_DIR, help="models folder, such as a folder of runs"
    )


def add_generated(parser: argparse.ArgumentParser, *, collection: str | None, seconds: float, option: str) -> None:
    """Add the arguments of commands that generate songs.

    Args:
        parser: parser of the subcommand.
        collection: default name of the output collection; None makes the argument required.
        seconds: default of the length.
        option: name of the option for the length in seconds.
    """
    is_required = collection is None
    parser.add_argument("--collection", default=collection, required=is_required, help="name of the output collection")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the output collection")
    parser.add_argument(option, type=float, default=seconds, help="length per song in seconds (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=SEED)


def summary(written: Exported) -> str:
    """Describe an exported file in one line."""
    return f"{written.path} {written.n_bytes} bytes sha256 {written.sha256} parity {written.parity_db:.1f} dB"
