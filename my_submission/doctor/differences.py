"""How far apart the ways to compute a system are, in dB."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from my_submission.doctor.trial import Trial, TrialSettings, try_system
from my_submission.errors import MdxError
from my_submission.stems import Stems

ALIKE_DB = 60.0
"""Stems whose difference lies this far below them score the same to a hundredth of a decibel."""


@dataclass(frozen=True)
class Difference:
    """One way to compute a system against the reference, which is fp32 on the CPU.

    Attributes:
        name: device, runtime and precision.
        decibels: of the stems over the difference, worst source; infinite for the same bytes, None if it cannot run.
        seconds: it took for the chunk; None if it cannot run.
        reason: why it cannot run.
    """

    name: str
    decibels: float | None
    seconds: float | None
    reason: str = ""


def measure_differences(reference: Trial, *, has_cuda: bool) -> list[Difference]:
    """Try a system in every way that this machine has.

    Args:
        reference: a trial on the CPU in fp32.
        has_cuda: whether to try the GPU.
    """
    return [_difference(reference, settings) for settings in _ways(reference.settings, has_cuda=has_cuda)]


def worst_decibels(reference: Stems, estimate: Stems) -> float:
    """Energy of each stem over that of its difference, in dB, for the source where it is least."""
    return min(_decibels(stem, estimate[source]) for source, stem in reference.items())


def _ways(settings: TrialSettings, *, has_cuda: bool) -> Sequence[TrialSettings]:
    ways = [replace(settings, device="cpu", runtime="torch", precision="fp32")]
    if has_cuda:
        for precision in ("fp32", "auto"):
            ways += [replace(settings, device="cuda", runtime=name, precision=precision) for name in ("onnx", "torch")]
        ways.append(replace(settings, device="cuda", runtime="torch", precision="bf16"))
    return ways


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
