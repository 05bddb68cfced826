"""``verify``: compare the weights with the manifest."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from my_submission.cli.artefacts import add_models_dir, expand, open_graph
from my_submission.weights import ModelsFolder, verify
from terminal.rich_lines import rich_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="systems or artefacts (default: all that are present)")
    add_models_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Check hash, size, format and graph; return 1 when an artefact is damaged, or named and missing."""
    results = verify(
        ModelsFolder(options.models_dir), expand(options.names) if options.names else None, graph_check=open_graph
    )
    table = Table("artefact", "state", "detail")
    for result in results:
        table.add_row(rich_line(result.name), result.status, rich_line(result.detail))
    Console(soft_wrap=True).print(table)
    bad = {"damaged", "missing"} if options.names else {"damaged"}
    return 1 if any(result.status in bad for result in results) else 0
