"""Conversion of checkpoints of LaSAFT networks and DemucsSplit to graphs, which run without torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from my_submission.engines import Device
from my_submission.engines.conditioned_engine import open_conditioned_checkpoint
from my_submission.engines.waveform_onnx import ARCHITECTURE as DEMUCS_SPLIT
from my_submission.errors import OutputError, WeightsError
from my_submission.mechanisms.conditioned_networks import geometry_of, is_conditioned
from my_submission.networks.loaders import open_demucs_split
from my_submission.weights import Artefact, ArtefactGeometry, ModelsFolder
from training.export.conditioned import export_conditioned
from training.export.graphs import Exported
from training.export.manifest import record
from training.export.waveform import export_demucs_split


def converted(name: str, models: Path, out: Path, *, allow_unverified: bool = False) -> Exported:
    """Write the graph of an artefact to ``out/<name>.onnx``, with a manifest entry of the same name.

    Args:
        name: name of the artefact, such as ``lasaft-v2/light``.
        models: models folder that contains its checkpoint.
        out: models folder for the graph; created if missing.
        allow_unverified: accept a checkpoint whose hash is unknown or differs from the published one.

    Raises:
        WeightsError: the checkpoint is missing, damaged, or of another kind of network.
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
    geometry, written = _exported(artefact, path, out / f"{name}.onnx")
    graph = replace(
        artefact,
        path=f"{name}.onnx",
        format="onnx",
        sha256=written.sha256,
        n_bytes=written.n_bytes,
        geometry=geometry,
        sources=(),
        options=None,
        git_blob=None,
        sha256_prefix=None,
    )
    record(out, [graph])
    return written


def _exported(artefact: Artefact, path: Path, target: Path) -> tuple[ArtefactGeometry | None, Exported]:
    """Write the graph of a checkpoint, and return it with its geometry for the manifest."""
    if artefact.architecture == DEMUCS_SPLIT:
        return None, export_demucs_split(open_demucs_split(path), target)
    if not is_conditioned(artefact):
        problem = f"{artefact.name} is a {artefact.architecture}, which this command does not convert"
        raise WeightsError(problem, where=path, hint="use it as it is: the program reads its checkpoint")
    separator = open_conditioned_checkpoint(path, artefact.architecture, device=Device("cpu"), options=artefact.options)
    geometry, frames = geometry_of(artefact, path, separator.config)
    written = export_conditioned(separator, target, hop=geometry.hop, frames=frames, architecture=artefact.architecture)
    return replace(geometry, frames=None), written
