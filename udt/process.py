"""What this process holds."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held, bytes; 0 where that is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def memory_bytes() -> int:
    """Return the memory that this process holds, bytes; its peak where the present is not known."""
    try:
        import resource

        n_pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (ImportError, OSError, IndexError, ValueError):
        return peak_memory_bytes()
    return n_pages * resource.getpagesize()
