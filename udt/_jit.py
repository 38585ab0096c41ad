"""Cache policy for kernels: compiled code is kept on disk, or nowhere if nothing is writable.

Policy only: code-generation flags stay beside each kernel, because numba's disk cache notices
changes in the kernel's own file alone.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import event


def _first_writable() -> str | None:
    beside = Path(__file__).parent / "__pycache__"
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "udt" / "numba"
    for folder in (beside, home):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return str(folder)
        except OSError:
            continue
    return None


def _decide_cache() -> bool:
    """Say whether kernels can be cached on disk; point numba at a writable folder if need be."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return True
    folder = _first_writable()
    if folder is None:
        return False
    if not folder.endswith("__pycache__"):
        numba.config.CACHE_DIR = folder
    return True


CACHE = _decide_cache()


def jit(*, fastmath: Any = False, nogil: bool = True) -> Callable[[Callable[..., Any]], Any]:
    """Return numba's nopython decorator with udt's cache policy.

    Parameters
    ----------
    fastmath : bool or set of str
        Passed on; name the flags at the kernel, never True (it makes isnan always False).
    nogil : bool
        Passed on.
    """
    decorate: Callable[[Callable[..., Any]], Any] = numba.njit(
        cache=CACHE, nogil=nogil, fastmath=fastmath
    )
    return decorate


@functools.cache
def _compile_timer() -> event.TimingListener:
    timer = event.TimingListener()
    event.register("numba:compile", timer)
    return timer


def compile_seconds() -> float:
    """Return the seconds spent compiling kernels since the first call; 0 if all were cached.

    Compilations within a compilation are counted once.
    """
    timer = _compile_timer()
    return float(timer.duration) if timer.done else 0.0
