"""Memory in pages of 2 MiB, on systems that offer them to programs on request.

A separation allocates and frees gigabytes. With pages of 4 KiB each gigabyte causes a quarter of a million page faults,
which took 5 to 10 % of the time per song in a virtual machine. A tunable of glibc requests larger pages; glibc reads
its tunables only once, when a process starts.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from terminal import process

logger = logging.getLogger(__name__)

TUNABLES = "GLIBC_TUNABLES"
HUGE_PAGES = "glibc.malloc.hugetlb"
"""The tunable: 1 requests transparent huge pages."""

FIRST_GLIBC = (2, 35)
"""The first release of glibc with this tunable."""

POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def restart_with_huge_pages() -> None:
    """Restart the running command in the same process with the tunable set; return if that would not help.

    The caller must not have done anything yet. The tunable is not changed if it is set already, to any value, or
    if the system gives huge pages to all programs or to none.
    """
    environment = environment_with_huge_pages(os.environ)
    if environment is None:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        with process.signals_held():  # until the command has begun again: the interpreter would show a traceback
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    except OSError as error:
        logger.info("huge pages are not used: %s cannot be restarted (%s)", sys.executable, error)


def environment_with_huge_pages(environment: Mapping[str, str], policy: Path = POLICY) -> dict[str, str] | None:
    """Return a copy of an environment with the tunable set; None if it is set already or has no effect."""
    set_already = environment.get(TUNABLES, "")
    if HUGE_PAGES in set_already or not _has_tunable() or not _is_given_on_request(policy):
        return None
    tunables = [set_already] if set_already else []
    return {**environment, TUNABLES: ":".join([*tunables, f"{HUGE_PAGES}=1"])}


def _has_tunable() -> bool:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        return name == "glibc" and tuple(int(part) for part in version.split(".")[:2]) >= FIRST_GLIBC
    except (AttributeError, OSError, ValueError):  # not glibc, or not Unix
        return False


def _is_given_on_request(policy: Path) -> bool:
    try:
        return "[madvise]" in policy.read_text(encoding="ascii")
    except OSError:
        return False
