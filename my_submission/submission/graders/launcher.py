"""Limits its own resources, then executes a command: ``python launcher.py [--cpus 0,1] [--cgroup DIR] -- COMMAND…``."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Apply the limits given as options; a limit that cannot be applied is an error."""
    options, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    settings = dict(zip(options[0::2], options[1::2], strict=True))
    if cpus := settings.get("--cpus"):
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    if cgroup := settings.get("--cgroup"):
        (Path(cgroup) / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    os.execvp(command[0], command)


main()
