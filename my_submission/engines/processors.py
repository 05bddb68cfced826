"""Numbers of processors and threads that this process may use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from my_submission.errors import MdxError

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")

THREADS_VARIABLE = "OMP_NUM_THREADS"
"""Variable that limits the threads of numerical libraries; in a list, the first number counts."""


def available_cpus() -> int:
    """Return the number of processors of this process: its affinity, limited by the quota of its control groups."""
    try:
        visible = len(os.sched_getaffinity(0))
    except AttributeError:
        visible = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, visible if quota is None else min(visible, int(quota + 0.5)))


def thread_count(asked: int | None, environment: Mapping[str, str] = os.environ) -> tuple[int, str]:
    """Return the number of threads of a run on the CPU, and a note if it is less than requested.

    Args:
        asked: number requested by the user; default: OMP_NUM_THREADS, else all. More threads than processors would wait
            for each other: 64 threads on two processors take a minute for a second of work.
        environment: environment of this process.

    Raises:
        MdxError: less than one thread was requested.
    """
    if asked is not None and asked < 1:
        raise MdxError(f"{asked} threads cannot run anything", hint="give at least 1, or leave the number out")
    available = available_cpus()
    if asked is not None and asked > available:
        return available, f"{asked} threads were requested; {available} are used, one per available processor"
    named = re.match(r"\s*(\d+)", environment.get(THREADS_VARIABLE, ""))
    wanted = int(named[1]) if named and asked is None else asked
    return min(wanted or available, available), ""


def cgroup_quota(own_groups: Path = OWN_GROUPS, mounted: Path = CGROUPS) -> float | None:
    """Return the minimum CPU quota of this process's control groups and their parents; None without a limit.

    Args:
        own_groups: the file that names the groups.
        mounted: mount point of version 2, and of the controllers of version 1.
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
    """Yield a group's folder and its parents; in a container the path may be the host's, which does not exist."""
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
