"""What ``fetch`` and ``verify`` share: names of systems stand for their artefacts."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from my_submission.predictor.loading import DEFAULT_MODELS_DIR
from my_submission.systems import SYSTEMS


def add_models_dir(parser: argparse.ArgumentParser) -> None:
    """The argument every command about weights has."""
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=DEFAULT_MODELS_DIR,
        metavar="DIR",
        help="a folder with a manifest.json (default: this checkout's models)",
    )


def expand(names: Iterable[str]) -> list[str]:
    """Artefact names, each once; the name of a system becomes those of its artefacts."""
    expanded = [artefact for name in names for artefact in (SYSTEMS[name].artefacts if name in SYSTEMS else (name,))]
    return list(dict.fromkeys(expanded))
