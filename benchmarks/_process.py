"""What a process takes: time and memory, as the operating system counts them. Unix only."""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import _data

_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a fresh process of its own and return its result."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def peak_bytes() -> int:
    """Return the largest memory that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES


@contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Write how long a block took. Modified in place: seconds."""
    start = time.perf_counter()
    yield
    seconds[what] = round(time.perf_counter() - start, 3)


def timed_process(*command: str) -> tuple[dict[str, float], str]:
    """Run a command to its end.

    Returns
    -------
    dict
        ``wall_s``, ``cpu_s`` and ``peak_bytes`` of the whole process.
    str
        What it printed on stdout.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=_data.REPOSITORY, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (out, err):
            file.seek(0)
        printed = out.read()
        if process.returncode:
            raise RuntimeError(f"{command} ended with {process.returncode}:\n{err.read()}")
    return {
        "wall_s": round(wall_s, 3),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_bytes": usage.ru_maxrss * _MAXRSS_BYTES,
    }, printed
