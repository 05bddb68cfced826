"""Test which of onnxruntime's providers load on this machine, and why the others do not.

onnxruntime lists the providers it was built with, and falls back to the CPU if one cannot be loaded; the reason goes to
standard error. Therefore each provider is tested in a process of its own: ``python -m
my_submission.engines.provider_probe NAME`` runs a small graph and prints the providers of its session.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from my_submission.engines.cuda_libraries import load_cuda_libraries

PROBE_SECONDS = 120.0
"""Time limit for loading a provider."""

PROBE_GRAPH = base64.b64decode(
    "CAgSADp1Cg8KAXgKAXcSAWMiBENvbnYKDAoBYxIBeSIEUmVsdRIFcHJvYmUqEwgBCAEIAQgBEAEiBAAAgD9CAXda"
    "GwoBeBIWChQIARIQCgIIAQoCCAEKAggCCgIIAmIbCgF5EhYKFAgBEhAKAggBCgIIAQoCCAIKAggCQgQKABAN"
)
"""ONNX model y = Relu(Conv(x)), float32 (1, 1, 2, 2); onnxruntime opens cuDNN at the first convolution."""

EXPECTED_PROVIDERS = ("CPUExecutionProvider", "CUDAExecutionProvider")
"""Providers that this package uses; reported even if onnxruntime was built without them."""

_LIBRARY = re.compile(r"Failed to load library \S*?([^/\s]+) with error: (.+)")
_NOISE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class ProviderState:
    """Result of the test of a provider.

    Attributes:
        name: onnxruntime's name without "ExecutionProvider".
        is_usable: whether a session ran on it.
        reason: why it is not usable, else empty.
        hint: how to make it usable.
    """

    name: str
    is_usable: bool
    reason: str = ""
    hint: str = ""


def probe_providers(run: Callable[[str], subprocess.CompletedProcess[str]] | None = None) -> list[ProviderState]:
    """Test every provider, each in a process of its own.

    Args:
        run: runs the test of a provider; this module as a program by default.
    """
    run = run or _run_probe
    first = run("CPUExecutionProvider")
    answer = _answer(first)
    if answer is None:
        reason = _last_line(first.stderr) or f"exit code {first.returncode}"
        cure = "pip install --force-reinstall --no-deps onnxruntime"
        return [ProviderState("CPU", False, f"onnxruntime cannot be used: {reason}", cure)]
    built_in = list(answer["available"])
    states = [ProviderState("CPU", True)]
    for name in dict.fromkeys((*EXPECTED_PROVIDERS, *built_in)):
        if name == "CPUExecutionProvider":
            continue
        states.append(_state(name, run(name)) if name in built_in else _not_built_in(name))
    return states


def _not_built_in(name: str) -> ProviderState:
    short = name.removesuffix("ExecutionProvider")
    hint = "install onnxruntime-gpu instead of onnxruntime" if short == "CUDA" else "install a package that has it"
    return ProviderState(short, False, "the installed onnxruntime was built without it", hint)


def _state(name: str, done: subprocess.CompletedProcess[str]) -> ProviderState:
    short = name.removesuffix("ExecutionProvider")
    answer = _answer(done)
    if answer is not None and name in answer["given"]:
        return ProviderState(short, True)
    output = _NOISE.sub("", done.stderr + done.stdout)
    missing = _LIBRARY.search(output)
    if missing:
        library = missing.group(2).partition(":")[0]
        hint = "install the CUDA and cuDNN libraries that this onnxruntime asks for, or use the CPU"
        return ProviderState(short, False, f"{missing.group(1)} needs {library}, which cannot be loaded", hint)
    reason = _last_line(output) if answer is None else "its session ran on the CPU without an error message"
    return ProviderState(short, False, reason or f"exit code {done.returncode}", "use the CPU, or see the message")


def _run_probe(name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "my_submission.engines.provider_probe", name]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"it did not load within {PROBE_SECONDS:g} s")


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, list[str]] | None:
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines and done.returncode == 0 else None


def _last_line(text: str) -> str:
    lines = [line.strip(" *") for line in _NOISE.sub("", text).splitlines()]
    return next((line for line in reversed(lines) if line), "")


def _probe(name: str) -> dict[str, list[str]]:
    """Run the graph on a provider and return the session's providers and those that onnxruntime was built with."""
    import numpy as np
    import onnxruntime

    if name == "CUDAExecutionProvider":
        with contextlib.suppress(OSError):  # onnxruntime reports the missing library below
            load_cuda_libraries(onnxruntime)
    wanted = list(dict.fromkeys((name, "CPUExecutionProvider")))
    session = onnxruntime.InferenceSession(PROBE_GRAPH, providers=wanted, enable_fallback=0)
    result = session.run(None, {"x": np.array([-1, 0, 1, 2], np.float32).reshape(1, 1, 2, 2)})[0]
    if result.ravel().tolist() != [0, 0, 1, 2]:
        raise RuntimeError(f"{name} computes {result.ravel().tolist()} where [0, 0, 1, 2] is right")
    return {"given": session.get_providers(), "available": onnxruntime.get_available_providers()}


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(_probe(sys.argv[1])) + "\n")
