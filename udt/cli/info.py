"""``udt info``: what udt finds on this machine, for a bug report or before a long run."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

from udt.cli import options as opt
from udt.cli.output import print_json, print_text

_PACKAGES = ("numpy", "numba", "pyarrow", "scikit-learn", "datasets", "safetensors", "typer")


def info(as_json: opt.AsJson = False) -> None:
    """Show versions and what this machine offers.

    Add it to a bug report.

    Example: udt info --json
    """
    found = _find()
    if as_json:
        print_json(found)
        return
    rows = {
        "udt": found["version"],
        "python": f"{found['python']} on {found['platform']}",
        "packages": ", ".join(f"{k} {v or 'missing'}" for k, v in found["packages"].items()),
        "threads": str(found["threads"]),
        "cache": found["cache"] or "none: no folder can be written to, so kernels compile anew",
        "machine": f"{found['machine']['vcpus']:g} vCPUs, {found['machine']['memory_gb']:.3g} GB",
        "energy": ("counters (RAPL)" if found["energy"]["counters"] else "no counters")
        + f"; {found['energy']['source']}",
        "grid": f"{found['grid']['region']}, {found['grid']['g_per_kwh']:g} g/kWh "
        f"({found['grid']['source']})",
    }
    print_text("\n".join(f"{key:<10}{value}" for key, value in rows.items()))


def _find() -> dict[str, Any]:
    from udt import __version__
    from udt.carbon import find_machine, find_place

    machine = find_machine()
    place = find_place(on_aws=machine.on_aws)
    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _package_version(name) for name in _PACKAGES},
        "threads": _threads(),
        "cache": _cache_folder(),
        "machine": {
            "name": machine.name,
            "vcpus": machine.vcpus,
            "memory_gb": machine.memory_gb,
        },
        "energy": {"counters": _has_counters(), "source": machine.evidence},
        "grid": {
            "region": place.region,
            "g_per_kwh": place.grid_g_per_kwh,
            "pue": place.pue,
            "source": place.grid_source,
        },
    }


def _package_version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _threads() -> int:
    """Return how many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cache_folder() -> str | None:
    """Return where compiled kernels are kept; None where no folder can be written to."""
    from udt import _jit

    if not _jit.CACHE:
        return None
    return os.environ.get("NUMBA_CACHE_DIR") or _jit._first_writable()


def _has_counters() -> bool:
    """Return whether the CPU's energy counters can be read: without them, energy is estimated."""
    from udt.carbon.rapl import Rapl

    return Rapl.open(Path("/"), time.perf_counter()) is not None
