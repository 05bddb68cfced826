"""Conversion of LaSAFT checkpoints to graphs, which run without torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from my_submission.engines import Device
from my_submission.engines.conditioned_engine import open_conditioned_checkpoint
from my_submission.errors import OutputError, WeightsError
from my_submission.mechanisms.conditioned_networks import geometry_of
from my_submission.weights import ModelsFolder
from training.export.conditioned import export_conditioned
from training.export.graphs import Exported
from training.export.manifest import record


def converted(name: str, models: Path, out: Path, *, allow_unverified: bool = False) -> Exported:
    """Write the graph of an artefact to ``out/<name>.onnx``, with a manifest entry of the same name.

    Args:
        name: name of the artefact, such as ``lasaft-v2/light``.
        models: models folder that holds its checkpoint.
        out: models folder for the graph; created if missing.
        allow_unverified: accept a checkpoint whose hash is unknown or differs from the published one.

    Raises:
        WeightsError: the checkpoint is missing, damaged, or of no conditioned network.
        OutputError: ``out`` is the folder of the checkpoints, whose entries would be replaced.
        ValueError: graph and network disagree.
    """
    if out.resolve() == models.resolve():
        raise OutputError("is the folder of the checkpoints", where=out, hint="name another folder with --out")
    folder = ModelsFolder(models)
    artefact = folder.artefact(name)
    path = folder.require(name, allow_unverified=allow_unverified)
    if artefact.format != "torch":
        raise WeightsError("is a graph already", where=path)
    separator = open_conditioned_checkpoint(path, artefact.architecture, device=Device("cpu"), options=artefact.options)
    geometry, frames = geometry_of(artefact, path, separator.config)
    target = out / f"{name}.onnx"
    written = export_conditioned(separator, target, hop=geometry.hop, frames=frames, architecture=artefact.architecture)
    graph = replace(
        artefact,
        path=f"{name}.onnx",
        format="onnx",
        sha256=written.sha256,
        n_bytes=written.n_bytes,
        geometry=replace(geometry, frames=None),
        sources=(),
        options=None,
        git_blob=None,
        sha256_prefix=None,
    )
    record(out, [graph])
    return written
