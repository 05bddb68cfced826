"""Summary of what this machine can run, in a few sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from my_submission.doctor.limit_forecast import LIMITS, LimitForecast
from my_submission.doctor.machine import Machine
from my_submission.doctor.trial import Trial
from my_submission.engines.devices import has_nvidia_card
from my_submission.engines.provider_probe import ProviderState
from my_submission.engines.runtimes import RuntimeState, fast_advice
from my_submission.systems import DEFAULT_SYSTEM, SYSTEMS
from my_submission.weights import ModelsFolder
from terminal.names import listed
from terminal.quantities import about

SONG_SECONDS = 180.0
"""Length of the song in these sentences."""


@dataclass(frozen=True)
class TriedSystem:
    """A system that was tried, and the limits it would keep."""

    trial: Trial
    forecasts: tuple[LimitForecast, ...]

    @property
    def name(self) -> str:
        """Name of the system."""
        return self.trial.settings.system

    @property
    def song_seconds(self) -> float:
        """Likely duration of a song of three minutes."""
        return self.trial.cost * SONG_SECONDS


def verdict_sentences(
    tried: Sequence[TriedSystem],
    machine: Machine,
    gpu: str,
    faster: Sequence[str] = (),
) -> list[str]:
    """Return the sentences.

    Args:
        tried: systems that ran.
        machine: this machine.
        gpu: the sentence about the GPU.
        faster: systems that OpenVINO would speed up.
    """
    sentences = [_speed(tried)] if tried else []
    sentences += _limits(tried)
    sentences.append(gpu)
    if machine.is_busy:
        effect = "so these speeds are too low" if tried else "which would lower measured speeds"
        sentences.append(f"The machine is busy (load {machine.load:.1f}), {effect}.")
    if faster:
        sentences.append(f"OpenVINO would speed up {listed(faster)}: {fast_advice()}.")
    return sentences


def gpu_sentence(machine: Machine, providers: Sequence[ProviderState], runtime: RuntimeState) -> str:
    """Return whether a GPU is used, and what it would need if it is idle."""
    cuda = next((state for state in providers if state.name == "CUDA"), None)
    if machine.n_gpus and cuda is not None and cuda.is_usable:
        return "A GPU is usable." if machine.n_gpus == 1 else f"{machine.n_gpus} GPUs are usable."
    if machine.n_gpus and runtime.problem:
        return f"A GPU is not usable because {_clause(runtime.problem)}; run {runtime.cure}."
    if machine.n_gpus and cuda is not None:
        return f"A GPU is not usable because {_clause(cuda.reason)}; {cuda.hint}."
    if has_nvidia_card():
        return f"A GPU is not usable because {_clause(machine.gpu_note)}; install or update the NVIDIA driver."
    return "A GPU is not usable because there is no NVIDIA card; everything runs on the CPU."


def faster_with_openvino(models: ModelsFolder) -> list[str]:
    """Return the systems with published TFC-TDF networks, if this processor would run them faster with OpenVINO."""
    if not fast_advice():
        return []
    published = {
        artefact.name for artefact in models.artefacts if artefact.architecture == "tfc-tdf" and artefact.sources
    }
    return [name for name, system in SYSTEMS.items() if published & set(system.artefacts)]


def _speed(tried: Sequence[TriedSystem]) -> str:
    system = next((each for each in tried if each.name == DEFAULT_SYSTEM), tried[0])
    default = ", the default" if system.name == DEFAULT_SYSTEM else ""
    return f"This machine separates a 3-minute song in {about(system.song_seconds)} with {system.name}{default}."


def _limits(tried: Sequence[TriedSystem]) -> list[str]:
    """Return one sentence on systems that keep the first limit of 2021 for a song of three minutes, and on others."""
    allowed = LIMITS[0].planned_seconds(SONG_SECONDS)
    kept = [each for each in tried if each.song_seconds <= allowed]
    sentences = []
    if kept:
        slowest = max(kept, key=lambda each: each.song_seconds)
        if len(kept) == 1:
            sentences.append(f"{slowest.name} meets the 2021 limit: {_share(slowest, allowed)}.")
        else:
            names = f"All {len(kept)} systems" if len(kept) == len(tried) else listed([each.name for each in kept])
            sentences.append(f"{names} meet the 2021 limit: at most {_share(slowest, allowed)}.")
    sentences += [
        f"{each.name} does not meet the 2021 limit: {_share(each, allowed)}." for each in tried if each not in kept
    ]
    return sentences


def _share(each: TriedSystem, allowed: float) -> str:
    return f"{each.song_seconds:.0f} of {allowed:.0f} s for this song"


def _clause(text: str) -> str:
    return text.rstrip(".")
