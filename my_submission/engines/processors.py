"""How many processors this process may use, and how many threads that makes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")

THREADS_VARIABLE = "OMP_NUM_THREADS"
"""What users of numerical libraries set; of a list the first number counts."""


def available_cpus() -> int:
    """Processors this process may really use: its affinity, cut to the quota of its control groups."""
    try:
        visible = len(os.sched_getaffinity(0))
    except AttributeError:
        visible = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, visible if quota is None else min(visible, int(quota + 0.5)))


def thread_count(asked: int | None, environment: Mapping[str, str] = os.environ) -> tuple[int, str]:
    """How many threads a run on the CPU has, and a note where they are not as many as were asked for.

    Args:
        asked: by the user; OMP_NUM_THREADS, or else every processor, where it is None. More threads than processors
            wait for each other: 64 on two take a minute for a second's work.
        environment: of this process.
    """
    available = available_cpus()
    if asked is not None and asked > available:
        return available, f"{asked} threads were asked for: {available} used, as many as there are processors"
    named = re.match(r"\s*(\d+)", environment.get(THREADS_VARIABLE, ""))
    wanted = int(named[1]) if named and asked is None else asked
    return min(wanted or available, available), ""


def cgroup_quota(own_groups: Path = OWN_GROUPS, mounted: Path = CGROUPS) -> float | None:
    """CPUs granted by the control groups of this process, the least of its group and those above; None for no limit.

    Args:
        own_groups: the file that names them.
        mounted: where version 2 is mounted, and the controllers of version 1.
    """
    try:
        lines = own_groups.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    paths = {
        controllers: path for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") > 1)
    }
    quotas = [*_of_version_2(mounted, paths.get("", "/"))]
    for controllers in {"cpu", "cpu,cpuacct", *(name for name in paths if "cpu" in name.split(","))}:
        quotas += _of_version_1(mounted / controllers, paths.get(controllers, "/"))
    return min(quotas, default=None)


def _groups(root: Path, path: str) -> Iterator[Path]:
    """A group's folder and those above it; in a container the path may be that of the host, which is not there."""
    inside = PurePosixPath(path.lstrip("/"))
    if ".." in inside.parts:
        inside = PurePosixPath()
    yield from (root / part for part in (inside, *inside.parents))


def _of_version_2(root: Path, path: str) -> Iterator[float]:
    for group in _groups(root, path):
        try:
            limit, period = (group / "cpu.max").read_text(encoding="ascii").split()
            if limit != "max":
                yield int(limit) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue


def _of_version_1(root: Path, path: str) -> Iterator[float]:
    for group in _groups(root, path):
        try:
            limit = int((group / "cpu.cfs_quota_us").read_text(encoding="ascii"))
            if limit > 0:
                yield limit / int((group / "cpu.cfs_period_us").read_text(encoding="ascii"))
        except (OSError, ValueError, ZeroDivisionError):
            continue
