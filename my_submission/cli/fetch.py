"""``fetch``: download or copy weights into the models folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from my_submission.cli.artefacts import ModelsOption, expand, open_network
from my_submission.cli.grouped_options import Messages, command_of
from my_submission.cli.option_values import complete_artefacts
from my_submission.weights import FetchProgress, FetchResult, ModelsFolder, fetch
from terminal.lines import say
from terminal.names import shown


def fetch_named(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            autocompletion=complete_artefacts,
            help="Systems (kuielab-a) or artefacts (kuielab-a/bass).",
        ),
    ],
    models: ModelsOption,
    messages: Messages,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="Take the weights from this file, ZIP archive, folder or URL instead of their published addresses.",
        ),
    ] = None,
) -> int:
    """Fetch the named artefacts."""
    folder = ModelsFolder(models.models_dir)
    is_url = source is not None and source.startswith(("http://", "https://"))
    console = Console(stderr=True, soft_wrap=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=messages.quiet or not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(progress: FetchProgress) -> None:
            if progress.name not in tasks:
                tasks[progress.name] = bars.add_task(shown(progress.name), total=progress.total_bytes)
            bars.update(tasks[progress.name], completed=progress.done_bytes, total=progress.total_bytes)

        results = fetch(
            folder,
            expand(names, folder),
            from_path=None if is_url or source is None else Path(source),
            mirror=source if is_url else None,
            progress=show,
            network_check=open_network,
        )
    for result in () if messages.quiet else results:
        say(f"{result.name}: {result.path} ({_outcome(result)})")
    return 0


def _outcome(result: FetchResult) -> str:
    if result.source is None:
        return "present, verified" if result.is_verified else "present, not verified"
    if result.is_verified:
        return f"from {result.source}, verified"
    return f"from {result.source}, not verified because no complete hash is known; use it with --allow-unverified"


command = command_of(fetch_named, "fetch", "Download the weights of systems, with resume and verification.")
