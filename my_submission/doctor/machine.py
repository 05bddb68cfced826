"""The machine and the inference runtimes installed on it."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psutil

from my_submission.engines.devices import cuda_devices
from my_submission.engines.processors import available_cpus
from my_submission.engines.provider_probe import ProviderState
from my_submission.engines.runtimes import runtime_state
from my_submission.submission.findings import Finding, fact, fault, warning


@dataclass(frozen=True)
class Machine:
    """The resources of this machine.

    Attributes:
        n_gpus: GPUs that the NVIDIA driver lists.
        gpu_note: why there is no GPU, or empty.
        load: load average of the last minute.
    """

    system: str
    n_cpus: int
    memory_bytes: int
    free_bytes: int
    n_gpus: int
    gpu_note: str
    load: float = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether other processes use more than a quarter of the processors."""
        return self.load > 0.25 * self.n_cpus


def describe_machine() -> Machine:
    """Return the resources of this machine."""
    memory = psutil.virtual_memory()
    n_gpus, note = cuda_devices()
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return Machine(system, available_cpus(), memory.total, memory.available, n_gpus, note, psutil.getloadavg()[0])


def runtime_findings(
    runtimes: Mapping[str, str], providers: Sequence[ProviderState], machine: Machine
) -> Iterator[Finding]:
    """Check the installed runtimes and their providers.

    Args:
        machine: an unusable CUDA provider is a warning only on a machine with a GPU.
    """
    runtime = runtime_state(runtimes, machine.n_gpus)
    if runtime.is_broken:
        yield fault("onnxruntime", runtime.problem, runtime.cure)
    elif runtime.problem:
        yield warning("onnxruntime", runtime.problem, runtime.cure)
    else:
        yield fact("onnxruntime", str(runtime))
    for state in providers:
        if state.is_usable:
            yield fact("provider", f"{state.name}: works")
        elif state.name == "CPU":
            yield fault("provider", f"CPU: {state.reason}", state.hint)
        elif state.name == "CUDA" and machine.n_gpus:
            yield warning("provider", f"CUDA: there is a GPU, but {state.reason}", state.hint)
        else:
            yield fact("provider", f"{state.name}: not usable, {state.reason}")
