"""``systems``: list the systems and whether their weights are present."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console

from my_submission.cli.artefacts import ModelsOption
from my_submission.cli.grouped_options import command_of
from my_submission.engines import Device
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.mechanisms.spectral_networks import chunking_of
from my_submission.systems import SYSTEMS, SystemRecipe
from my_submission.weights import ModelsFolder
from terminal.names import storable
from terminal.rich_lines import rich_line


def list_systems(
    models_option: ModelsOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> int:
    """Print all systems."""
    models = ModelsFolder(models_option.models_dir)
    described = [describe(system, models) for system in SYSTEMS.values()]
    if as_json:
        print(json.dumps(storable(described), indent=1))
    else:
        console = Console(soft_wrap=True, highlight=False)
        for row in described:
            console.print(rich_line(row["name"], "bold"))
            for line in _lines(row):
                console.print(rich_line(f"    {line}"))
    return 0


def describe(system: SystemRecipe, models: ModelsFolder) -> dict[str, Any]:
    """Return a system as plain values."""
    missing = models.missing(system.artefacts)
    return {
        "name": system.name,
        "title": system.title,
        "sources": list(system.sources),
        "n_artefacts": len(system.artefacts),
        "missing": missing,
        "cutoffs_hz": _cutoffs(system, models, missing),
        "published": dict(system.published),
        "board": system.board,
        "licence": system.licence,
    }


def _cutoffs(system: SystemRecipe, models: ModelsFolder, missing: list[str]) -> dict[str, float | None]:
    """Return the cutoff of every source's spectral network, from its graph; None where the graph is missing."""
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
    n_missing, first = len(row["missing"]), row["missing"][:1]
    weights = f"{n_missing} of {row['n_artefacts']} missing ({first[0]} …): fetch {row['name']}" if first else "ready"
    cutoffs = ", ".join(f"{name} {hz / 1000:.1f} kHz" for name, hz in row["cutoffs_hz"].items() if hz is not None)
    scores = ", ".join(f"{name} {value:.2f}" for name, value in row["published"].items())
    facts = {
        "stems": ", ".join(row["sources"]),
        "weights": weights,
        "cutoffs": cutoffs or ("read from the graphs once they are present" if row["cutoffs_hz"] else "none"),
        "published": f"{scores} dB global SDR ({row['board']})" if scores else "—",
        "licence": row["licence"],
    }
    return [row["title"], *(f"{label:<10} {text}" for label, text in facts.items())]


command = command_of(list_systems, "systems", "List every system: stems, quality, size, and whether it is ready.")
