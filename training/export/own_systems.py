"""Systems made of the networks of one run, so that ``separate`` runs what a run has trained."""

from __future__ import annotations

import json
import re
from pathlib import Path

from my_submission.files.locks import exclusive
from my_submission.systems import SYSTEMS, SYSTEMS_FILE, SystemRecipe, systems_of
from my_submission.systems.systems_file import with_entry
from my_submission.weights import ModelsFolder
from my_submission.weights.manifest import MANIFEST_NAME
from training.experiment import Experiment
from training.export.manifest import LOCK_NAME

_OTHER_CHARACTERS = re.compile(r"[^a-z0-9._+-]+")


def separate_command(system: str, models: Path) -> str:
    """Return the command that separates a song by a system of a models folder."""
    return f"mdx separate SONG -o OUT --system {system} --models-dir {models}"


def incomplete_system(models: Path, experiment: Experiment) -> tuple[str, list[str]] | None:
    """Return the known system that the experiment's networks are part of, with what a models folder lacks for it.

    It is the one that lacks the fewest artefacts, without those of the experiment; None if no system uses them.
    """
    own = set(_artefacts(experiment))
    has_manifest = (models / MANIFEST_NAME).is_file()
    folder = ModelsFolder(models) if has_manifest else None
    present = own | {artefact.name for artefact in (folder.artefacts if folder else ())}
    known = systems_of(folder) if folder else SYSTEMS
    found = {
        name: [artefact for artefact in system.artefacts if artefact not in present]
        for name, system in known.items()
        if own & set(system.artefacts) and not _is_made_here(system, experiment)
    }
    return min(found.items(), key=lambda item: len(item[1])) if found else None


def system_of_run(models: Path, experiment: Experiment, name: str) -> str | None:
    """Return the name of a system that runs the networks of a finished run, or None if ``separate`` has no such kind.

    It is a known system if the folder has all of its artefacts; otherwise one of these networks alone, which is added
    to the folder's ``systems.toml`` if it is missing there.

    Args:
        models: folder of runs, which is also a models folder.
        experiment: settings of the run.
        name: name of the run.

    Raises:
        WeightsError: ``systems.toml`` cannot be used.
    """
    known = incomplete_system(models, experiment)
    if known is not None and not known[1]:
        return known[0]
    branch = _branch(experiment)
    if branch is None:
        return None
    own = own_name(name)
    with exclusive(models / LOCK_NAME):
        if own not in systems_of(ModelsFolder(models)):
            title = f"networks of the training run {name}"
            lines = ["[[systems]]", f"name = {json.dumps(own)}", f"title = {json.dumps(title)}", "", *branch]
            with_entry(models / SYSTEMS_FILE, own, "\n".join([*lines, ""]))
    return own


def own_name(run: str) -> str:
    """Return the name of the system of a run: its own in lower case, different from the names of known systems."""
    parts = (_OTHER_CHARACTERS.sub("-", part).strip("._+-") for part in run.lower().split("/"))
    name = "/".join(part for part in parts if part) or "run"
    return f"{name}-run" if name in SYSTEMS else name


def _is_made_here(system: SystemRecipe, experiment: Experiment) -> bool:
    """Whether a system of the folder's own is made of the experiment's networks alone."""
    return system.name not in SYSTEMS and set(system.artefacts) <= set(_artefacts(experiment))


def _artefacts(experiment: Experiment) -> list[str]:
    return [f"{experiment.family}/{name}" for name in experiment.network.graphs(experiment)]


def _branch(experiment: Experiment) -> list[str] | None:
    """Return the lines of ``[[systems.branches]]``, or None for networks that have no branch of their own."""
    kind = experiment.network.branch(experiment)
    if kind is None:
        return None
    names = _artefacts(experiment)
    lines = ["[[systems.branches]]", f'kind = "{kind}"']
    if kind == "networks":
        pairs = zip(experiment.targets, names, strict=True)
        networks = ", ".join(f"{target} = {json.dumps(name)}" for target, name in pairs)
        return [*lines, f"networks = {{ {networks} }}"]
    lines += [f"network = {json.dumps(names[0])}", f"sources = {json.dumps(list(experiment.targets))}"]
    if kind == "conditioned":
        lines.append(f"trim_samples = {experiment.export_chunking.trim_samples}")
    if kind == "waveform":
        lines += ['normalisation = "none"', f"segment_seconds = {experiment.data.window_seconds or 10.0}"]
    return lines
