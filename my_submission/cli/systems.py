"""``systems``: what there is to choose from, and what of it is ready."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from my_submission.engines import Device
from my_submission.engines.onnx_engine import open_onnx
from my_submission.predictor.loading import DEFAULT_MODELS_DIR
from my_submission.systems import SYSTEMS, SpectralRecipe, SystemRecipe
from my_submission.weights import ModelsFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--models-dir", type=Path, default=DEFAULT_MODELS_DIR, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: argparse.Namespace) -> int:
    """Print every system."""
    models = ModelsFolder(options.models_dir)
    described = [describe(system, models) for system in SYSTEMS.values()]
    if options.json:
        print(json.dumps(described, indent=1))
    else:
        Console(soft_wrap=True).print(_table(described))
    return 0


def describe(system: SystemRecipe, models: ModelsFolder) -> dict[str, Any]:
    """A system as plain values."""
    known = {artefact.name for artefact in models.artefacts}
    missing = [name for name in system.artefacts if name not in known or not models.is_present(name)]
    return {
        "name": system.name,
        "title": system.title,
        "sources": list(system.sources),
        "missing": missing,
        "cutoffs_hz": _cutoffs(system, models, missing),
        "published": dict(system.published),
        "board": system.board,
        "licence": system.licence,
    }


def _cutoffs(system: SystemRecipe, models: ModelsFolder, missing: list[str]) -> dict[str, float | None]:
    """Cutoff of every source's spectral network, from the graph itself; None where the graph is not there."""
    cutoffs: dict[str, float | None] = {}
    for branch in system.branches:
        if not isinstance(branch.recipe, SpectralRecipe):
            continue
        for source, name in branch.recipe.networks.items():
            geometry = None if name in missing else models.artefact(name).geometry
            if geometry is None:
                cutoffs[source] = None
                continue
            bins = open_onnx(models.require(name, allow_unverified=True), device=Device("cpu")).shape().bins
            cutoffs[source] = geometry.with_kept_bins(bins).cutoff_hz
    return cutoffs


def _table(described: list[dict[str, Any]]) -> Table:
    table = Table("system", "stems", "weights", "cutoffs (kHz)", "published SDR (dB)", "licence", show_lines=True)
    for row in described:
        weights = "ready" if not row["missing"] else f"missing: {', '.join(row['missing'])}"
        cutoffs = ", ".join(f"{name} {hz / 1000:.1f}" for name, hz in row["cutoffs_hz"].items() if hz is not None)
        song = row["published"].get("song")
        score = f"{song:.2f} ({row['board']})" if song is not None else "—"
        name = f"[bold]{row['name']}[/bold]\n{row['title']}"
        table.add_row(name, ", ".join(row["sources"]), weights, cutoffs or "—", score, row["licence"])
    return table
