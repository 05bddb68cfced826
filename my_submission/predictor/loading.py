"""Loading of a predictor by the name of its system."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, cast, get_args

from my_submission.engines import Device, resolve_device
from my_submission.engines.device_memory import memory_reader
from my_submission.engines.processors import thread_count
from my_submission.engines.runtimes import runtime_state
from my_submission.errors import DeviceError, MdxError, UnknownNameError
from my_submission.mechanisms import Precision, RunOptions, Runtime
from my_submission.planning import Calibration
from my_submission.predictor.core import Predictor
from my_submission.predictor.memory import within_device, within_memory
from my_submission.systems import (
    DEFAULT_SYSTEM,
    NetworkOptions,
    OwnNetwork,
    SystemRecipe,
    find_system,
    for_stems,
    load_system,
    network_settings,
    systems_of,
    with_network_options,
    with_vocals_from,
)
from my_submission.weights import ModelsFolder
from terminal.extras import explained_absence
from terminal.names import listed

logger = logging.getLogger(__name__)

PRECISIONS: tuple[str, ...] = get_args(Precision)
RUNTIMES: tuple[str, ...] = get_args(Runtime)


class LoadOptions(TypedDict, total=False):
    """Arguments of :func:`load` other than the system and its stems."""

    models_dir: str | Path | None
    device: str
    precision: str
    runtime: str
    threads: int | None
    batch_chunks: int | None
    max_memory_bytes: int | None
    allow_unverified: bool
    network: OwnNetwork | None
    network_options: NetworkOptions | None
    vocals_from: str | None


def stem_names(stems: Sequence[str] | None) -> tuple[str, ...]:
    """Return names of stems as a tuple; None is none.

    Raises:
        UnknownNameError: they are one string, whose letters would be taken for names.
    """
    if isinstance(stems, str):
        raise UnknownNameError(f"stems={stems!r} is not a list of names", hint=f"give stems=[{stems!r}]")
    return tuple(stems or ())


@explained_absence(MdxError)
def load(
    system: str = DEFAULT_SYSTEM,
    *,
    stems: Sequence[str] = (),
    models_dir: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    runtime: str = "auto",
    threads: int | None = None,
    batch_chunks: int | None = None,
    max_memory_bytes: int | None = None,
    allow_unverified: bool = False,
    network: OwnNetwork | None = None,
    network_options: NetworkOptions | None = None,
    vocals_from: str | None = None,
) -> Predictor:
    """Load a predictor: check and open every artefact of the system.

    Args:
        system: a name that ``python -m my_submission systems`` lists.
        stems: stems to write, such as "vocals" or "instrumental" (the mixture minus the vocals); default: all sources.
            Work that they do not need is left out.
        models_dir: a folder with a ``manifest.json``; default: the one that comes with the program.
        device: "auto", "cpu", "cuda" or "cuda:N"; a GPU that is named is used or refused.
        precision: "auto", "fp32", "bf16" or "fp16"; half precision runs every network in torch.
        runtime: "auto", "onnx" or "torch", for spectral networks.
        threads: processors for one run on the CPU, at most those that the process may use; default: OMP_NUM_THREADS, or
            all of them.
        batch_chunks: spectral chunks in one run; on a GPU as many as its free memory allows, up to eight.
        max_memory_bytes: limit of the whole process; batches and segments become smaller to stay below it.
        allow_unverified: accept artefacts whose hash is not the published one.
        network: a graph of your own that separates instead of a system.
        network_options: how it, or the graph of a system ``mdx-net/…``, is applied.
        vocals_from: a public graph, such as "mdx-net/kim-vocal-2", that estimates the vocals in place of the system's
            own network.

    Raises:
        InputError: there is no file of the network.
        UnknownNameError: there is no such system, stem, device or precision.
        WeightsError: an artefact is missing or damaged; the message says how to get it.
        DeviceError: the device is not available.
        MdxError: the system cannot work within ``max_memory_bytes``, or needs a library of an extra that is not
            installed.
    """
    _check_arithmetic(precision, runtime)
    n_threads, threads_note = thread_count(threads)
    recipe, models = _recipe_of(system, network, network_options, vocals_from, ModelsFolder(models_dir))
    names = stem_names(stems)
    recipe = for_stems(recipe, names) if names else recipe
    settings: dict[str, Any] = {
        "device": device,
        "precision": precision,
        "runtime": runtime,
        "batch_chunks": batch_chunks,
        "max_memory": None if max_memory_bytes is None else max_memory_bytes >> 20,
        **network_settings(network, network_options),
        **({"stems": list(recipe.chosen_stems)} if recipe.chosen_stems else {}),
    }
    chosen = resolve_device(device)
    options = RunOptions(
        device=chosen,
        precision=cast("Precision", precision),
        runtime=cast("Runtime", runtime),
        threads=n_threads,
        batch_chunks=batch_chunks,
    )
    notes = tuple(note for note in (threads_note, _note_on(recipe)) if note)
    opening = _Opening(recipe, models, options, settings, notes, max_memory_bytes, allow_unverified)
    try:
        return opening.predictor()
    except DeviceError as error:
        if device != "auto" or chosen.kind == "cpu":
            raise
        state = runtime_state()
        note = f"{state.problem}; run {state.cure}" if state.problem else f"the GPU cannot be used: {error}"
        logger.warning(note)
        return replace(opening, options=replace(options, device=Device("cpu", note=note))).predictor()


@dataclass(frozen=True)
class _Opening:
    """A system to open on the device of its options.

    Attributes:
        recipe: the system, reduced to the chosen stems.
        models: folder of its artefacts.
        options: device, precision, runtime, threads and batches.
        settings: the options that can change a sample, for ``separation.json``.
        notes: notes of every report.
        max_memory_bytes: limit of the whole process, or None.
        allow_unverified: whether artefacts with another hash are accepted.
    """

    recipe: SystemRecipe
    models: ModelsFolder
    options: RunOptions
    settings: Mapping[str, Any]
    notes: tuple[str, ...]
    max_memory_bytes: int | None
    allow_unverified: bool

    def predictor(self) -> Predictor:
        """Open the artefacts and return the predictor, within the memory of the process and of the device."""
        device = self.options.device
        loaded = load_system(self.recipe, self.models, self.options, allow_unverified=self.allow_unverified)
        limits: tuple[str, ...] = ()
        if self.max_memory_bytes is not None:
            loaded.open_weights()
            loaded, limits = within_memory(loaded, self.max_memory_bytes, is_on_gpu=device.kind == "cuda")
        read_memory = memory_reader(device)
        if read_memory is not None:
            free, has_fixed_batches = read_memory().free_bytes, self.options.batch_chunks is not None
            loaded, fewer = within_device(loaded, free, device=str(device), has_fixed_batches=has_fixed_batches)
            limits += fewer
        return Predictor(
            loaded,
            notes=(*([device.note] if device.note else []), *self.notes, *limits),
            calibration=Calibration.of_user(),
            read_device_memory=read_memory,
            settings=self.settings,
            device=device,
            n_threads=self.options.threads,
        )


def _check_arithmetic(precision: str, runtime: str) -> None:
    """Refuse an unknown precision or runtime, and a runtime without the precision."""
    if precision not in PRECISIONS:
        raise UnknownNameError(f"there is no precision {precision!r}", hint=f"use {', '.join(PRECISIONS)}")
    if runtime not in RUNTIMES:
        raise UnknownNameError(f"there is no runtime {runtime!r}", hint=f"use {', '.join(RUNTIMES)}")
    if runtime == "onnx" and precision in {"bf16", "fp16"}:
        raise UnknownNameError(f"graphs run in fp32, not in {precision}", hint="use the runtime torch or auto")


def _recipe_of(
    system: str,
    network: OwnNetwork | None,
    options: NetworkOptions | None,
    vocals_from: str | None,
    models: ModelsFolder,
) -> tuple[SystemRecipe, ModelsFolder]:
    """Return the system and the folder of its artefacts."""
    if network is None:
        recipe = find_system(system, systems_of(models))
    else:
        if system != DEFAULT_SYSTEM:
            raise UnknownNameError("give a network of your own or a system, not both", hint="leave one out")
        recipe, models = network.system(), models.including(network.artefact(), Path(network.path))
    if vocals_from is not None:
        recipe = with_vocals_from(recipe, vocals_from)
    if options is not None:
        recipe = with_network_options(recipe, options)
    return recipe, models


def _note_on(recipe: SystemRecipe) -> str:
    """Return a note on the work that chosen stems save; empty if all stems are written."""
    if not recipe.chosen_stems:
        return ""
    estimated = {source for branch in recipe.branches for source in branch.recipe.sources}
    saved = [source for source in recipe.omitted if source not in estimated]
    work = f"{listed(saved)} not estimated" if saved else "they need the estimates of all sources"
    return f"only {listed(recipe.stems)} requested: {work}"
