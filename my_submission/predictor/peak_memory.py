"""Peak memory of this process."""

from __future__ import annotations

import sys


def peak_memory_bytes() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    try:
        import resource
    except ImportError:
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
