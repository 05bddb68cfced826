"""``verify``: are the weights what they say?"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from my_submission.cli.artefacts import add_models_dir, expand
from my_submission.engines import Device
from my_submission.engines.onnx_engine import open_onnx
from my_submission.mechanisms.conditioned_networks import is_conditioned, spectra_of
from my_submission.mechanisms.spectral_networks import chunking_of
from my_submission.weights import Artefact, ModelsFolder, verify
from terminal.lines import rich_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="systems or artefacts; without any, all that are there are checked"
    )
    add_models_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Check hash, size, format and graph; 1 when something is damaged, or missing although it was named."""
    results = verify(
        ModelsFolder(options.models_dir), expand(options.names) if options.names else None, graph_check=_open_graph
    )
    table = Table("artefact", "state", "detail")
    for result in results:
        table.add_row(rich_line(result.name), result.status, rich_line(result.detail))
    Console(soft_wrap=True).print(table)
    bad = {"damaged", "missing"} if options.names else {"damaged"}
    return 1 if any(result.status in bad for result in results) else 0


def _open_graph(artefact: Artefact, path: Path) -> None:
    if is_conditioned(artefact):
        spectra_of(artefact, path, device=Device("cpu"))
    else:
        chunking_of(artefact, path, open_onnx(path, device=Device("cpu")).shape())
