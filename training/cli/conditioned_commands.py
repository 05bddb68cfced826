"""Subcommand that turns the LaSAFT authors' checkpoints into graphs, which need no torch to run."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli.command import TrainingCommand, add_models


def _convert(options: argparse.Namespace) -> None:
    from training.export.lasaft_checkpoints import converted

    for name in options.names:
        written = converted(name, options.models_dir, options.out, allow_unverified=options.allow_unverified)
        print(f"{written.path} {written.n_bytes} bytes sha256 {written.sha256} parity {written.parity_db:.1f} dB")


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", help="artefacts of conditioned networks, such as lasaft-v2/light")
    add_models(parser)
    parser.add_argument(
        "--out", type=Path, required=True, help="models folder the graphs and their entries go to, not the same one"
    )
    parser.add_argument("--allow-unverified", action="store_true", help="accept files of no or another known hash")


STAGES = (TrainingCommand("convert", "write graphs of LaSAFT checkpoints to a models folder", _add_convert, _convert),)
