"""The installed distribution of onnxruntime, and what this machine's GPU or processor would need to be used fully."""

from __future__ import annotations

import importlib.util
import logging
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from my_submission.engines.devices import cuda_devices
from my_submission.errors import DeviceError

logger = logging.getLogger(__name__)

CPU_RUNTIME = "onnxruntime"
GPU_RUNTIME = "onnxruntime-gpu"

CPU_FACTS = Path("/proc/cpuinfo")
"""Linux's description of the processors."""

_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Linux's names of processors' instructions that multiply bfloat16: AVX-512 and AMX on x86-64, BF16 on ARM."""

_DISTRIBUTION = re.compile(r"(onnxruntime|ort)([-_].*)?", re.IGNORECASE)
_OPENVINO_MACHINES = frozenset({"x86_64", "AMD64", "aarch64", "arm64"})


@dataclass(frozen=True)
class RuntimeState:
    """The installed runtime and how a GPU of this machine relates to it.

    Attributes:
        installed: name of every distribution of the module ``onnxruntime`` to its version; one if all is well.
        n_gpus: GPUs that the NVIDIA driver lists.
        problem: one clause: no runtime, several of them, or a GPU that the runtime cannot use; empty if all is well.
        cure: the command that solves the problem, or empty.
    """

    installed: Mapping[str, str] = field(default_factory=dict)
    n_gpus: int = 0
    problem: str = ""
    cure: str = ""

    @property
    def is_broken(self) -> bool:
        """Whether there is no runtime, or several have overwritten each other."""
        return len(self.installed) != 1

    def __str__(self) -> str:
        return ", ".join(f"{name} {version}" for name, version in self.installed.items()) or "no onnxruntime"


def installed_runtimes() -> dict[str, str]:
    """Return installed distributions of the module ``onnxruntime`` and their versions; several overwrite each other."""
    found = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"] or ""
        if _DISTRIBUTION.fullmatch(name) and _brings_onnxruntime(distribution):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def runtime_state(installed: Mapping[str, str] | None = None, n_gpus: int | None = None) -> RuntimeState:
    """Return the state of this environment, in a few milliseconds: nothing is imported and no session opened.

    Args:
        installed: distributions of onnxruntime; those of this environment by default.
        n_gpus: GPUs of this machine; those that the driver lists by default.
    """
    installed = installed_runtimes() if installed is None else installed
    n_gpus = cuda_devices()[0] if n_gpus is None else n_gpus
    if not installed:
        wanted = GPU_RUNTIME if n_gpus else CPU_RUNTIME
        return RuntimeState(installed, n_gpus, "onnxruntime is not installed", f"pip install {wanted}")
    if len(installed) > 1:
        problem = f"{' and '.join(installed)} are both installed, and one has overwritten files of the other"
        names = [name.replace("_", "-") for name in installed]
        return RuntimeState(installed, n_gpus, problem, _exchange(names, _chosen(names, n_gpus)))
    (name,) = installed
    if n_gpus and name == CPU_RUNTIME:
        problem = f"the GPU is not used: the installed onnxruntime {installed[name]} is the build for the CPU"
        return RuntimeState(installed, n_gpus, problem, _exchange([name], GPU_RUNTIME))
    return RuntimeState(installed, n_gpus)


def import_onnxruntime() -> Any:
    """Return the module ``onnxruntime``; a warning says once if two distributions of one version share it.

    Raises:
        DeviceError: it is not installed, cannot be loaded, or is mixed from two versions; the hint has the command that
            fixes this.
    """
    _check_for_two()
    try:
        import onnxruntime
    except ImportError as error:
        state = runtime_state()
        problem = state.problem or f"onnxruntime cannot be loaded ({' '.join(str(error).split())})"
        cure = state.cure or f"pip install --force-reinstall --no-deps {' '.join(state.installed)}"
        raise DeviceError(problem, hint=f"run {cure}") from error
    return onnxruntime


@lru_cache(maxsize=1)
def _check_for_two() -> None:
    """Look for the builds for the CPU and for GPUs side by side; files of one version fit each other."""
    versions = []
    for name in (CPU_RUNTIME, GPU_RUNTIME):
        with suppress(metadata.PackageNotFoundError):
            versions.append(metadata.version(name))
    if len(versions) < 2:
        return
    state = runtime_state()
    if len(set(versions)) > 1:
        raise DeviceError(f"{state.problem}; their versions differ ({', '.join(versions)})", hint=f"run {state.cure}")
    logger.warning("%s; run %s", state.problem, state.cure)


def fast_advice() -> str:
    """Return a hint if the extra ``fast`` would make published TFC-TDF networks faster here, else nothing.

    OpenVINO computes them in bfloat16, 1.3 to 1.8 × as fast, on processors with instructions for it. Other networks,
    such as those of the starters, stay in fp32.
    """
    if not multiplies_bfloat16() or importlib.util.find_spec("openvino") is not None:
        return ""
    return (
        "bfloat16 would make these networks 1.3 to 1.8 x as fast on this processor: pip install 'mdx-submission[fast]'"
    )


def multiplies_bfloat16(facts: Path = CPU_FACTS) -> bool:
    """Return whether Linux lists instructions for bfloat16 that OpenVINO uses; False on other systems.

    Without OpenVINO this is the only way to know; with it, :func:`my_submission.engines.openvino_engine.bf16_obstacle`
    asks OpenVINO itself.
    """
    if platform.machine() not in _OPENVINO_MACHINES:
        return False
    try:
        lines = facts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    named = (line.partition(":") for line in lines)
    return any(key.strip() in {"flags", "Features"} and _BFLOAT16_FLAGS & set(value.split()) for key, _, value in named)


def _chosen(names: list[str], n_gpus: int) -> str:
    """Return the distribution to keep of several: the GPU's if there is a GPU or the CPU's is not among them."""
    return CPU_RUNTIME if CPU_RUNTIME in names and not n_gpus else GPU_RUNTIME


def _exchange(names: list[str], wanted: str) -> str:
    return f"pip uninstall -y {' '.join(names)} && pip install {wanted}"


def _brings_onnxruntime(distribution: metadata.Distribution) -> bool:
    return any(file.parts[:1] == ("onnxruntime",) for file in distribution.files or ())
