"""Measurement of whole commands, each in its own process."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """Cost of one process.

    Attributes:
        seconds: from its start to its end.
        cpu_seconds: processor time of all its threads; on a machine that others use too, the fairer of the two.
        peak_megabytes: its largest resident memory.
    """

    seconds: float
    cpu_seconds: float
    peak_megabytes: float


def measure(command: Sequence[str], *, environment: dict[str, str] | None = None) -> Measured:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], list(command), {**os.environ, **(environment or {})})
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return Measured(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def interleaved(commands: dict[str, Callable[[], Measured]], rounds: int) -> dict[str, list[Measured]]:
    """Run all commands in rounds, so that other load affects them equally."""
    results: dict[str, list[Measured]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, run in commands.items():
            results[name].append(run())
            latest = results[name][-1]
            print(
                f"round {number + 1}: {name}: {latest.seconds:.1f} s, {latest.cpu_seconds:.1f} CPU s, "
                f"{latest.peak_megabytes:.0f} MB",
                file=sys.stderr,
                flush=True,
            )
    return results


def ratios(of: Sequence[float], over: Sequence[float]) -> str:
    """Return the minimum, median and maximum ratio of paired measurements."""
    paired = [one / other for one, other in zip(of, over, strict=True)]
    return f"{statistics.median(paired):.2f} ({min(paired):.2f}–{max(paired):.2f})"


def table(results: dict[str, list[Measured]], ours: str) -> str:
    """Return a Markdown table of the commands and their ratios to ours."""
    lines = [
        "| command | wall s, median | CPU s, median | peak MB, largest | wall over ours | CPU over ours |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        wall, cpu = [run.seconds for run in runs], [run.cpu_seconds for run in runs]
        base = results[ours][: len(runs)]
        lines.append(
            f"| {name} | {statistics.median(wall):.1f} | {statistics.median(cpu):.1f} "
            f"| {max(run.peak_megabytes for run in runs):.0f} "
            f"| {ratios(wall, [run.seconds for run in base])} | {ratios(cpu, [run.cpu_seconds for run in base])} |"
        )
    return "\n".join(lines)


def circumstances() -> str:
    """Return machine, load and date, for the header of a result."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{model}, {os.cpu_count()} cores, load {load}; {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
