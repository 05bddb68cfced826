"""Differences in dB between the devices, runtimes and precisions that can compute a system."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from my_submission.doctor.trial import Trial, TrialSettings, try_system
from my_submission.errors import MdxError
from my_submission.stems import Stems

ALIKE_DB = 60.0
"""Stems whose difference is this far below them have the same score to 0.01 dB."""


@dataclass(frozen=True)
class Difference:
    """One variant of a system compared with the reference, fp32 on the CPU.

    Attributes:
        name: device, runtime and precision.
        decibels: energy of the stem over that of its difference, in dB, for the worst source; infinite if equal, None
            if the variant cannot run.
        seconds: time for the chunk, or None if the variant cannot run.
    """

    name: str
    decibels: float | None
    seconds: float | None
    reason: str = ""


def measure_differences(reference: Trial, *, has_cuda: bool) -> list[Difference]:
    """Try every device, runtime and precision of this machine.

    Args:
        reference: a trial on the CPU in fp32.
    """
    return [_difference(reference, settings) for settings in _variants(reference.settings, has_cuda=has_cuda)]


def worst_decibels(reference: Stems, estimate: Stems) -> float:
    """Return the energy of a stem over that of its difference, in dB, for the worst source."""
    return min(_decibels(stem, estimate[source]) for source, stem in reference.items())


def _variants(settings: TrialSettings, *, has_cuda: bool) -> Sequence[TrialSettings]:
    choices = [("cpu", "torch", "fp32")]
    if has_cuda:
        choices += [("cuda", runtime, precision) for precision in ("fp32", "auto") for runtime in ("onnx", "torch")]
        choices.append(("cuda", "torch", "bf16"))
    return [replace(settings, device=device, runtime=name, precision=precision) for device, name, precision in choices]


def _difference(reference: Trial, settings: TrialSettings) -> Difference:
    name = f"{settings.device} {settings.runtime} {settings.precision}"
    try:
        trial = try_system(settings)
    except MdxError as error:
        return Difference(name, None, None, str(error))
    return Difference(name, worst_decibels(reference.stems, trial.stems), trial.seconds)


def _decibels(reference: np.ndarray, estimate: np.ndarray) -> float:
    error = float(np.sum((reference.astype(np.float64) - estimate) ** 2))
    energy = float(np.sum(reference.astype(np.float64) ** 2))
    if error == 0:
        return math.inf
    return 10 * math.log10(energy / error) if energy else -math.inf
