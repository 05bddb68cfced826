"""``verify``: compare the weights with the manifest."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from my_submission.cli.artefacts import ModelsOption, expand, open_graph
from my_submission.cli.grouped_options import Messages, command_of
from my_submission.cli.option_values import complete_artefacts
from my_submission.weights import ModelsFolder, verify
from terminal.rich_lines import rich_line


def verify_named(
    models: ModelsOption,
    messages: Messages,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...",
            autocompletion=complete_artefacts,
            show_default=False,
            help="Systems or artefacts (default: all that are present).",
        ),
    ] = None,
) -> int:
    """Check hash, size, format and graph; return 1 when an artefact is damaged, or named and missing."""
    folder = ModelsFolder(models.models_dir)
    results = verify(folder, expand(names, folder) if names else None, graph_check=open_graph)
    table = Table("artefact", "state", "detail")
    for result in results:
        table.add_row(rich_line(result.name), result.status, rich_line(result.detail))
    if not messages.quiet:
        Console(soft_wrap=True).print(table)
    bad = {"damaged", "missing"} if names else {"damaged"}
    return 1 if any(result.status in bad for result in results) else 0


command = command_of(verify_named, "verify", "Check hash, size, format and graph of the weights in the models folder.")
