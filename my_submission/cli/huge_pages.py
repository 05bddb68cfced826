"""Working memory in pages of 2 MiB, on systems that give them to programs that ask.

A song's work takes and returns gigabytes. In pages of 4 KiB each gigabyte is a quarter of a million interrupts: a
twentieth to a tenth of a song's time in a virtual machine. glibc asks for larger pages when its tunable says so, and it
reads its tunables only once, when a process starts.
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
"""The tunable: 1 asks for transparent huge pages, 0 does not."""

FIRST_GLIBC = (2, 35)
"""The first release that has it."""

POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def restart_with_huge_pages() -> None:
    """Start the running command again, in the same process, with the tunable set; return where that would not help.

    A program that calls this must have done nothing yet. It is left alone where the tunable is set already, to
    whatever value, and where the system gives huge pages to all programs or to none.
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
        logger.info("working memory stays in small pages: %s cannot be started again (%s)", sys.executable, error)


def environment_with_huge_pages(environment: Mapping[str, str], policy: Path = POLICY) -> dict[str, str] | None:
    """A copy of an environment under which glibc asks for huge pages; None where that is said already or no use."""
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
