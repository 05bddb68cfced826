"""Manifest entries of trained networks; a folder of runs is a models folder that the predictor loads."""

from __future__ import annotations

import os
from pathlib import Path

from my_submission.files.locks import exclusive
from my_submission.weights import Artefact, ArtefactGeometry, record_artefacts
from training.experiment import Experiment
from training.export.state_dict import STATE_SUFFIX

LOCK_NAME = ".manifest.lock"
"""Lock of the manifest, because several runs may share a folder."""


def record_graphs(models: Path, experiment: Experiment, folder: Path) -> None:
    """Record every ``<folder>/<name>.onnx`` or ``.pt`` of an experiment as ``<family>/<name>``."""
    network = experiment.network
    geometry = ArtefactGeometry(n_fft=experiment.transform.n_fft, hop=experiment.transform.hop)
    record(
        models,
        [
            Artefact(
                name=f"{experiment.family}/{name}",
                path=_below(models, folder / f"{name}{'.onnx' if network.is_graph else STATE_SUFFIX}"),
                sha256=None,
                n_bytes=None,
                format="onnx" if network.is_graph else "torch",
                architecture=network.kind,
                target=target,
                geometry=geometry if network.has_transform else None,
                sources=(),
                licence=experiment.export.licence,
            )
            for name, target in network.graphs(experiment).items()
        ],
    )


def record_mixer(models: Path, family: str, path: Path, *, licence: str) -> None:
    """Record a Mixer as ``<family>/mixer``."""
    artefact = Artefact(
        name=f"{family}/mixer",
        path=_below(models, path),
        sha256=None,
        n_bytes=None,
        format="torch",
        architecture="mixer",
        target=None,
        geometry=None,
        sources=(),
        licence=licence,
    )
    record(models, [artefact])


def record(models: Path, artefacts: list[Artefact]) -> None:
    """Record artefacts whose files exist; hashes and sizes are read from the files."""
    with exclusive(models / LOCK_NAME):
        record_artefacts(models, artefacts)


def _below(models: Path, path: Path) -> str:
    return Path(os.path.relpath(path, models)).as_posix()
