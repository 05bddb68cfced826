"""Runs a command with the grader's processors, memory and time, and without a network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

import psutil

from my_submission.challenge.tracks import GraderMachine

POLL_SECONDS = 0.05
"""Interval at which time is checked, and memory too without a control group."""

STDERR_TAIL_CHARACTERS = 4_000

End = Literal["exit", "time", "memory"]


@dataclass(frozen=True, kw_only=True)
class ConfinedRun:
    """The result of a confined command.

    Attributes:
        returncode: exit code; negative for a signal.
        end: why it ended: by itself, or stopped for time or memory.
        peak_bytes: peak resident memory of the command and its children.
    """

    returncode: int
    end: End
    seconds: float
    peak_bytes: int
    stderr: str
    stdout: str


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """The resources of a command.

    Attributes:
        machine: processors and memory of the grader.
        allow_network: whether the command may use the network; a submission may not.
        use_cgroup: limit memory by a control group if permitted; otherwise resident memory is polled.
    """

    machine: GraderMachine
    allow_network: bool = False
    use_cgroup: bool = True

    def describe(self) -> list[str]:
        """Return one line per resource that says how it is limited on this machine."""
        wanted, given = self.machine.n_cpus, len(self.cpus)
        cpus = f"{given} processors" + (", as the grader" if given == wanted else f" of the grader's {wanted}")
        limit = f"{self.machine.memory_bytes / 2**30:.3g} GiB"
        by = "by a control group" if self.use_cgroup and cgroup_root() is not None else "by polling resident memory"
        if self.allow_network:
            network = "network: open"
        elif unshare_prefix() is not None:
            network = "no network: separate network namespace"
        else:
            network = "no network: sockets refused inside Python (network namespaces are not permitted here)"
        return [cpus, f"{limit} of memory, {by}", network]

    @property
    def cpus(self) -> tuple[int, ...]:
        """Numbers of the processors to use; fewer than the grader's if this machine has fewer."""
        if not hasattr(os, "sched_getaffinity"):
            return tuple(range(os.cpu_count() or 1))[: self.machine.n_cpus]
        return tuple(sorted(os.sched_getaffinity(0))[: self.machine.n_cpus])

    def run(
        self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], scratch: Path, seconds: float
    ) -> ConfinedRun:
        """Run a command until it ends or exceeds its time or memory."""
        with _cgroup(self.machine.memory_bytes if self.use_cgroup else None) as cgroup:
            prefix = [] if self.allow_network else list(unshare_prefix() or [])
            launcher = [sys.executable, "-I", str(grader_file("launcher.py"))]
            if hasattr(os, "sched_setaffinity"):
                launcher += ["--cpus", ",".join(map(str, self.cpus))]
            if cgroup is not None:
                launcher += ["--cgroup", str(cgroup)]
            variables = dict(environment)
            if not self.allow_network and unshare_prefix() is None:
                variables["PYTHONPATH"] = str(_socket_guard_folder(scratch))
            return _run([*launcher, "--", *prefix, *command], cwd, variables, scratch, seconds, self, cgroup)


def grader_file(name: str) -> Path:
    """Return the path of a file in the package's graders folder."""
    return Path(str(resources.files("my_submission.submission.graders").joinpath(name)))


@lru_cache(maxsize=1)
def unshare_prefix() -> tuple[str, ...] | None:
    """Return the command prefix that removes the network, or None if that is not permitted."""
    if shutil.which("unshare") is None:
        return None
    for prefix in (("unshare", "--net"), ("unshare", "--map-current-user", "--net")):
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    return None


@lru_cache(maxsize=1)
def cgroup_root() -> tuple[Path, str] | None:
    """Return the folder in which a memory control group can be created and the name of its limit file, or None."""
    for root, limit_file in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        probe = root / f"mdx-probe-{os.getpid()}"
        try:
            probe.mkdir()
        except OSError:
            continue
        usable = (probe / limit_file).is_file() and os.access(probe / limit_file, os.W_OK)
        probe.rmdir()
        if usable:
            return root, limit_file
    return None


@contextmanager
def _cgroup(memory_bytes: int | None) -> Iterator[Path | None]:
    """Create a control group with a memory limit for the body of a ``with``; None if that is not possible."""
    found = cgroup_root() if memory_bytes is not None else None
    if found is None:
        yield None
        return
    root, limit_file = found
    group = root / f"mdx-rehearsal-{os.getpid()}-{time.monotonic_ns()}"
    group.mkdir()
    try:
        (group / limit_file).write_text(str(memory_bytes), encoding="ascii")
        yield group
    finally:
        for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _remove_group(group)


def _remove_group(group: Path) -> None:
    """Remove an empty group; retried, because its last process may not be reaped yet."""
    for _ in range(100):
        try:
            group.rmdir()
        except OSError:
            time.sleep(POLL_SECONDS)
        else:
            return


def _was_killed_for_memory(cgroup: Path | None) -> bool:
    if cgroup is None:
        return False
    for name in ("memory.oom_control", "memory.events"):
        if (cgroup / name).is_file():
            counts = dict(line.split() for line in (cgroup / name).read_text(encoding="ascii").splitlines())
            return int(counts.get("oom_kill", 0)) > 0
    return False


def _socket_guard_folder(scratch: Path) -> Path:
    folder = scratch / "no_network"
    folder.mkdir(exist_ok=True)
    shutil.copy(grader_file("socket_guard.py"), folder / "sitecustomize.py")
    return folder


def _run(
    command: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    scratch: Path,
    seconds: float,
    confinement: Confinement,
    cgroup: Path | None,
) -> ConfinedRun:
    out_path, err_path = scratch / "stdout.txt", scratch / "stderr.txt"
    with out_path.open("wb") as out, err_path.open("wb") as err:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        end, peak = _watch(process, started + seconds, confinement.machine.memory_bytes if cgroup is None else None)
        elapsed = time.monotonic() - started
    if _was_killed_for_memory(cgroup):
        end = "memory"
    return ConfinedRun(
        returncode=process.returncode,
        end=end,
        seconds=elapsed,
        peak_bytes=peak,
        stderr=err_path.read_text(encoding="utf-8", errors="replace")[-STDERR_TAIL_CHARACTERS:],
        stdout=out_path.read_text(encoding="utf-8", errors="replace"),
    )


def _watch(process: subprocess.Popen[bytes], deadline: float, watched_bytes: int | None) -> tuple[End, int]:
    """Wait for a process, kill it over its limits, and return the reason and the peak memory."""
    end: End = "exit"
    peak = 0
    while process.poll() is None:
        resident = _resident_bytes(process.pid)
        peak = max(peak, resident)
        if watched_bytes is not None and resident > watched_bytes:
            end = "memory"
        elif time.monotonic() > deadline:
            end = "time"
        if end != "exit":
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            break
        time.sleep(POLL_SECONDS)
    return end, peak


def _resident_bytes(pid: int) -> int:
    """Return the current resident memory of a process and its children."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for member in family:
        with suppress(psutil.NoSuchProcess):
            total += member.memory_info().rss
    return total
