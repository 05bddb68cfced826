"""``systems``: list the systems, or show one in full."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from my_submission.cli.artefacts import ModelsOption
from my_submission.cli.grouped_options import command_of
from my_submission.cli.option_values import complete_systems
from my_submission.engines import Device
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.mechanisms.spectral_networks import chunking_of
from my_submission.systems import DEFAULT_SYSTEM, SystemRecipe, find_system, systems_of
from my_submission.systems.mdx_net import FAMILY
from my_submission.weights import ModelsFolder
from terminal.names import storable
from terminal.program import program_name
from terminal.rich_lines import rich_line

READY, FETCH, OWN = "ready", "fetch", "bring your own"
"""States of a system: its weights are present, have published addresses, or must be supplied by the user."""


def list_systems(
    models_option: ModelsOption,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", autocompletion=complete_systems, help="System to show in full, or family to list."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> int:
    """Print all systems, or one."""
    models = ModelsFolder(models_option.models_dir)
    systems = systems_of(models)
    family = [system for system in systems.values() if system.name.startswith(f"{FAMILY}/")]
    is_family = name == FAMILY
    chosen = family if is_family else list(systems.values()) if name is None else [find_system(name, systems)]
    if as_json:
        print(json.dumps(storable([describe(system, models) for system in chosen]), indent=1))
        return 0
    console = Console(soft_wrap=True, highlight=False)
    if name is None or is_family:
        folded = [] if is_family else [system for system in family if state_of(system, models) != READY]
        console.print(_table([system for system in chosen if system not in folded], models))
        if folded:
            more = f"{FAMILY}/…  {len(folded)} networks of one stem: {program_name()} systems {FAMILY}"
            console.print(rich_line(more, "dim"))
        for line in (
            "SDR: mean in dB, as published or, in brackets, on our two test excerpts.",
            f"{program_name()} fetch NAME gets the weights of a system.",
            f"{program_name()} systems NAME shows a system in full.",
        ):
            console.print(rich_line(line, "dim"))
        return 0
    for row in (describe(system, models) for system in chosen):
        console.print(rich_line(row["name"], "bold"))
        for line in _lines(row):
            console.print(rich_line(f"    {line}"))
    return 0


def describe(system: SystemRecipe, models: ModelsFolder) -> dict[str, Any]:
    """Return a system as plain values."""
    missing = models.missing(system.artefacts)
    n_bytes, is_size_known = download_bytes(system, models)
    return {
        "name": system.name,
        "title": system.title,
        "is_default": system.name == DEFAULT_SYSTEM,
        "state": state_of(system, models),
        "sources": list(system.sources),
        "stems": list(system.stems),
        "n_artefacts": len(system.artefacts),
        "missing": missing,
        "bytes": n_bytes,
        "is_size_known": is_size_known,
        "cutoffs_hz": _cutoffs(system, models, missing),
        "published": dict(system.published),
        "board": system.board,
        "own_sdr": system.own_sdr,
        "licence": system.licence,
    }


def state_of(system: SystemRecipe, models: ModelsFolder) -> str:
    """Return "ready", "fetch" or "bring your own"."""
    missing = set(models.missing(system.artefacts))
    if not missing:
        return READY
    published = {artefact.name for artefact in models.artefacts if artefact.sources}
    return FETCH if missing <= published else OWN


def download_bytes(system: SystemRecipe, models: ModelsFolder) -> tuple[int, bool]:
    """Return the size of all weights of a system, and whether the size of every file is known."""
    by_name = {artefact.name: artefact for artefact in models.artefacts}
    sizes = [by_name[name].n_bytes if name in by_name else None for name in dict.fromkeys(system.artefacts)]
    return sum(size or 0 for size in sizes), None not in sizes


def _table(systems: list[SystemRecipe], models: ModelsFolder) -> Table:
    """Return one line per system, in at most 79 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("system", "stems"):
        table.add_column(name, no_wrap=True)
    for name in ("SDR", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    for system in systems:
        n_bytes, is_size_known = download_bytes(system, models)
        megabytes = f"{n_bytes / 1e6:.0f}" if is_size_known else f"> {n_bytes / 1e6:.0f}" if n_bytes else "?"
        state = state_of(system, models)
        table.add_row(
            rich_line(system.name, "bold" if state == READY else ""),
            rich_line(" ".join(system.stems)),
            _quality(system),
            megabytes,
            rich_line("ready, the default" if system.name == DEFAULT_SYSTEM and state == READY else state),
        )
    return table


def _quality(system: SystemRecipe) -> str:
    """Return the mean SDR of a system, in brackets if it is our own measurement."""
    if system.published:
        return f"{system.published.get('song', sum(system.published.values()) / len(system.published)):.2f} "
    return "" if system.own_sdr is None else f"({system.own_sdr:.2f})"


def _cutoffs(system: SystemRecipe, models: ModelsFolder, missing: list[str]) -> dict[str, float | None]:
    """Return the cutoff of every source's spectral network, from its graph; None if the graph is missing."""
    cutoffs: dict[str, float | None] = {}
    for branch in system.branches:
        for source, name in branch.recipe.cutoff_artefacts.items():
            cutoffs[source] = None if name in missing else _cutoff(models, name)
    return cutoffs


def _cutoff(models: ModelsFolder, name: str) -> float:
    path = models.path(name)
    shape = OnnxEngine.open(path, device=Device("cpu")).shape()
    return chunking_of(models.artefact(name), path, shape).stft.cutoff_hz


def _lines(row: dict[str, Any]) -> list[str]:
    n_missing, state = len(row["missing"]), row["state"]
    ways = {FETCH: f"{program_name()} fetch {row['name']}", OWN: "bring your own (fetch --from FILE)", READY: READY}
    weights = f"{n_missing} of {row['n_artefacts']} missing: {ways[state]}" if n_missing else READY
    cutoffs = ", ".join(f"{name} {hz / 1000:.1f} kHz" for name, hz in row["cutoffs_hz"].items() if hz is not None)
    scores = ", ".join(f"{name} {value:.2f}" for name, value in row["published"].items())
    own = "—" if row["own_sdr"] is None else f"none; {row['own_sdr']:.2f} dB on our two test excerpts (docs/scores.md)"
    facts = {
        "stems": ", ".join(row["stems"]),
        "weights": weights,
        "cutoffs": cutoffs or ("read from the graphs once they are present" if row["cutoffs_hz"] else "none"),
        "published": f"{scores} dB global SDR ({row['board']})" if scores else own,
        "licence": row["licence"],
    }
    return [row["title"], *(f"{label:<10} {text}" for label, text in facts.items())]


command = command_of(
    list_systems, "systems", "List every system: stems, quality, size, and whether its weights are there; or show one."
)
