"""The machine and what is installed on it."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psutil

from my_submission.engines.devices import cuda_devices
from my_submission.engines.processors import available_cpus
from my_submission.engines.provider_probe import ProviderState
from my_submission.submission.findings import Finding, fact, fault, warning


@dataclass(frozen=True)
class Machine:
    """What a process may use here.

    Attributes:
        system: operating system and processor.
        n_cpus: processors this process may really use.
        memory_bytes: of the machine.
        free_bytes: of it, available now.
        n_gpus: that the NVIDIA driver shows.
        gpu_note: why none, where there is none.
        load: processes that wanted a processor in the last minute, on average.
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
        """Whether other work keeps more than a quarter of the processors."""
        return self.load > 0.25 * self.n_cpus


def describe_machine() -> Machine:
    """Look at the machine."""
    memory = psutil.virtual_memory()
    n_gpus, note = cuda_devices()
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return Machine(system, available_cpus(), memory.total, memory.available, n_gpus, note, psutil.getloadavg()[0])


def runtime_findings(
    runtimes: Mapping[str, str], providers: Sequence[ProviderState], machine: Machine
) -> Iterator[Finding]:
    """What the installed runtimes can do: faults where nothing runs or two packages spoil each other.

    Args:
        runtimes: installed onnxruntime distributions and their versions.
        providers: what became of each provider.
        machine: decides whether a GPU that cannot be used matters.
    """
    named = ", ".join(f"{name} {version}" for name, version in runtimes.items())
    if len(runtimes) > 1:
        names = " ".join(runtimes)
        text = f"{named} are installed at once; they share one folder, and the one installed last overwrote the others"
        yield fault("onnxruntime", text, f"pip uninstall -y {names} && pip install onnxruntime-gpu")
    elif not runtimes:
        yield fault("onnxruntime", "it is not installed", "pip install onnxruntime-gpu")
    else:
        yield fact("onnxruntime", named)
    for state in providers:
        if state.is_usable:
            yield fact("provider", f"{state.name}: loads and computes")
        elif state.name == "CPU":
            yield fault("provider", f"CPU: {state.reason}", state.hint)
        elif state.name == "CUDA" and machine.n_gpus:
            yield warning("provider", f"CUDA: there is a GPU, but {state.reason}", state.hint)
        else:
            yield fact("provider", f"{state.name}: not usable, {state.reason}")
