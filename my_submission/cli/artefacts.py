"""Artefacts named on the command line, for ``fetch``, ``verify`` and others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from my_submission.cli.panels import EXPERT
from my_submission.engines import Device
from my_submission.engines.conditioned_engine import open_conditioned_checkpoint
from my_submission.engines.joint_onnx import ARCHITECTURE as JOINT
from my_submission.engines.joint_onnx import JointGraph
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.engines.spleeter_onnx import ARCHITECTURE as SPLEETER
from my_submission.engines.spleeter_onnx import SpleeterGraph
from my_submission.engines.torch_engine import TORCH_ARCHITECTURES, load_network
from my_submission.engines.waveform_onnx import ARCHITECTURE as DEMUCS_SPLIT
from my_submission.engines.waveform_onnx import WaveformGraph
from my_submission.errors import UnknownNameError
from my_submission.mechanisms.conditioned_networks import is_conditioned, spectra_of
from my_submission.mechanisms.mixer import read_mixer
from my_submission.mechanisms.spectral_networks import chunking_of
from my_submission.stems import MUSIC_SOURCES
from my_submission.systems import SystemRecipe, systems_of, with_vocals_from
from my_submission.weights import Artefact, ModelsFolder
from my_submission.weights.folder import DEFAULT_MODELS_DIR
from terminal.program import program_name


@dataclass(frozen=True)
class ModelsOption:
    """Location of the weights."""

    models_dir: Annotated[
        Path,
        typer.Option(
            "--models-dir",
            metavar="DIR",
            show_default="the models of this program",
            rich_help_panel=EXPERT,
            help="A folder with a manifest.json.",
        ),
    ] = DEFAULT_MODELS_DIR


def expand(names: Iterable[str], models: ModelsFolder) -> list[str]:
    """Return artefact names, each once; the name of a system becomes the names of its artefacts.

    Raises:
        UnknownNameError: there is no such system or artefact; the hint names the nearest three.
    """
    artefacts, systems = [artefact.name for artefact in models.artefacts], systems_of(models)
    expanded: list[str] = []
    for name in names:
        if name not in systems and (combined := _combined(name, systems)) is not None:
            expanded += combined.artefacts
            continue
        if name not in systems and name not in artefacts:
            near = get_close_matches(name, [*systems, *artefacts], n=3, cutoff=0.0)
            hint = f"the nearest are {', '.join(near)}; {program_name()} systems lists all systems"
            raise UnknownNameError(f"there is no system or artefact {name!r}", hint=hint)
        expanded += systems[name].artefacts if name in systems else (name,)
    return list(dict.fromkeys(expanded))


def _combined(name: str, systems: Mapping[str, SystemRecipe]) -> SystemRecipe | None:
    """Return a system with the vocals of a public graph, named such as "starter-plus+kim-vocal-2"; None for others."""
    base, plus, graph = name.rpartition("+")
    if not plus or base not in systems:
        return None
    try:
        return with_vocals_from(systems[base], graph)
    except UnknownNameError:
        return None


def open_graph(artefact: Artefact, path: Path) -> None:
    """Open an ONNX graph as the architecture of its manifest entry.

    Raises:
        WeightsError: it is not a graph, or differs from the entry; the message says how.
    """
    if is_conditioned(artefact):
        spectra_of(artefact, path, device=Device("cpu"))
    elif artefact.architecture == SPLEETER:
        SpleeterGraph.open(path, device=Device("cpu"))
    elif artefact.architecture == JOINT:
        JointGraph.open(path, device=Device("cpu"))
    elif artefact.architecture == DEMUCS_SPLIT:
        WaveformGraph.open(path, device=Device("cpu"))
    else:
        chunking_of(artefact, path, OnnxEngine.open(path, device=Device("cpu")).shape())


def open_network(artefact: Artefact, path: Path) -> None:
    """Open a file of weights as the network that its manifest entry names, on the CPU.

    Raises:
        WeightsError: it is another network; the message says how it differs.
    """
    if artefact.format == "onnx":
        open_graph(artefact, path)
    elif artefact.architecture == "mixer":
        read_mixer(path, MUSIC_SOURCES)
    elif is_conditioned(artefact):
        open_conditioned_checkpoint(path, artefact.architecture, device=Device("cpu"), options=artefact.options)
    elif artefact.architecture in TORCH_ARCHITECTURES:
        load_network(path, artefact.architecture)
