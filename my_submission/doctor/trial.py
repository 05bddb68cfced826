"""Runs one chunk of audio through a system in a separate process and measures its speed and memory."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from my_submission.errors import DeviceError, MdxError
from my_submission.events import Finished, StageFinished
from my_submission.geometry import SAMPLE_RATE
from my_submission.predictor import Predictor, load
from my_submission.predictor.peak_memory import peak_memory_bytes
from my_submission.stems import Stems, Waveform
from my_submission.systems import LoadedSystem

logger = logging.getLogger(__name__)

MIN_SECONDS = 12.0
"""Length of the chunk for systems without spectral chunks: that of the published networks' chunks."""


@dataclass(frozen=True, kw_only=True)
class TrialSettings:
    """Settings of a trial, with the meanings of :func:`my_submission.load`."""

    system: str
    models_dir: Path | None = None
    device: str = "auto"
    runtime: str = "auto"
    precision: str = "auto"
    allow_unverified: bool = False


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The result of a trial.

    Attributes:
        runs_on: libraries and devices.
        load_seconds: time to check and open the weights.
        seconds: time to separate the chunk, in the second run.
        cost: seconds of work per second of a long song, overlaps included.
        peak_bytes: peak resident memory.
    """

    settings: TrialSettings
    runs_on: tuple[str, ...]
    load_seconds: float
    audio_seconds: float
    seconds: float
    cost: float
    peak_bytes: int
    stems: Stems = field(repr=False)


def try_system(settings: TrialSettings) -> Trial:
    """Run one chunk through a system, in a separate process so that its memory can be measured.

    Raises:
        MdxError: the system cannot be loaded or run.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            outcome = pool.submit(_measure, settings).result()
        except BrokenProcessPool as error:
            raise DeviceError(
                f"the process that tried {settings.system} was killed, perhaps for lack of memory",
                hint="free memory, or try another system",
            ) from error
    if isinstance(outcome, Trial):
        return outcome
    raise MdxError(outcome)


def _measure(settings: TrialSettings) -> Trial | str:
    """Return the trial or an error message, because MdxError cannot be pickled between processes."""
    try:
        return measure(settings)
    except (MdxError, ImportError) as error:
        return str(error).rstrip(".")
    except Exception as error:  # any error of a library on a device is reported for this variant only
        logger.exception("%s cannot be tried", settings.system)
        return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".")


def measure(settings: TrialSettings) -> Trial:
    """Run the trial in this process."""
    started = time.monotonic()
    predictor = load(
        settings.system,
        models_dir=settings.models_dir,
        device=settings.device,
        runtime=settings.runtime,
        precision=settings.precision,
        allow_unverified=settings.allow_unverified,
    )
    load_seconds = time.monotonic() - started
    system = predictor.system
    mixture = trial_mixture(chunk_samples(system))
    _timed(predictor, mixture)  # the first run includes allocation and compilation
    stems, seconds, branch_seconds = _timed(predictor, mixture)
    audio_seconds = mixture.shape[-1] / SAMPLE_RATE
    return Trial(
        settings=settings,
        runs_on=system.runs_on,
        load_seconds=load_seconds,
        audio_seconds=audio_seconds,
        seconds=seconds,
        cost=long_song_seconds(system, mixture.shape[-1], branch_seconds, seconds) / audio_seconds,
        peak_bytes=peak_memory_bytes(),
        stems=stems,
    )


def chunk_samples(system: LoadedSystem) -> int:
    """Return the chunk length in samples for a trial: the shortest that a mechanism asks for, or the default."""
    samples = [branch.mechanism.trial_samples for branch in system.branches]
    return min((each for each in samples if each is not None), default=round(MIN_SECONDS * SAMPLE_RATE))


def trial_mixture(samples: int) -> Waveform:
    """Return noise over a chord, float32 (2, samples), always the same, with energy in every bin."""
    time_axis = np.arange(samples) / SAMPLE_RATE
    chord = sum(np.sin(2 * np.pi * hertz * time_axis) for hertz in (110.0, 277.2, 1_318.5))
    noise = np.random.default_rng(0).standard_normal((2, samples))
    return np.asarray(0.05 * chord + 0.05 * noise, np.float32)


def long_song_seconds(system: LoadedSystem, samples: int, branch_seconds: Mapping[str, float], seconds: float) -> float:
    """Return the time of the chunk as part of a long song, in which segments overlap."""
    passes = {branch.name: branch.mechanism.long_song_passes(samples) for branch in system.branches}
    return seconds + sum((passes.get(name, 1.0) - 1) * cost for name, cost in branch_seconds.items())


def _timed(predictor: Predictor, mixture: Waveform) -> tuple[Stems, float, dict[str, float]]:
    """Return the stems, the seconds they took, and the name of each branch to the seconds of its stages."""
    stages: dict[tuple[str, str], float] = {}
    started = time.monotonic()
    for event in predictor.stream(mixture):
        if isinstance(event, StageFinished):
            stages[event.branch, event.part] = event.seconds
        elif isinstance(event, Finished):
            stems = event.result
    seconds = time.monotonic() - started
    branch_seconds: dict[str, float] = {}
    for (branch, _), cost in stages.items():
        branch_seconds[branch] = branch_seconds.get(branch, 0.0) + cost
    return stems, seconds, branch_seconds
