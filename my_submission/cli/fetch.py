"""``fetch``: download or copy weights into the models folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from my_submission.cli.artefacts import add_models_dir, expand, open_network
from my_submission.weights import FetchProgress, FetchResult, ModelsFolder, fetch
from terminal.lines import say
from terminal.names import shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="a system (kuielab-a) or an artefact (kuielab-a/bass)")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FILE_OR_ZIP_OR_FOLDER_OR_URL",
        help="take them from here instead of their published addresses",
    )
    add_models_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Fetch the named artefacts."""
    is_url = options.source is not None and options.source.startswith(("http://", "https://"))
    console = Console(stderr=True, soft_wrap=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(progress: FetchProgress) -> None:
            if progress.name not in tasks:
                tasks[progress.name] = bars.add_task(shown(progress.name), total=progress.total_bytes)
            bars.update(tasks[progress.name], completed=progress.done_bytes, total=progress.total_bytes)

        results = fetch(
            ModelsFolder(options.models_dir),
            expand(options.names),
            from_path=None if is_url or options.source is None else Path(options.source),
            mirror=options.source if is_url else None,
            progress=show,
            network_check=open_network,
        )
    for result in results:
        say(f"{result.name}: {result.path} ({_outcome(result)})")
    return 0


def _outcome(result: FetchResult) -> str:
    if result.source is None:
        return "present, verified" if result.is_verified else "present, not verified"
    if result.is_verified:
        return f"from {result.source}, verified"
    return f"from {result.source}, not verified because no complete hash is known; use it with --allow-unverified"
