"""What the machine that we run on says about itself, and how much of it is ours.

Everything is read from files below a root folder, so that a test can make one up. A file that is
missing, unreadable or odd is as good as none: each fact then has a stated fallback.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_GIB = 2**30
_USUAL_GB_PER_VCPU = 4.0  # a general-purpose instance of any cloud
_VIRTUAL_VENDORS = ("Amazon EC2", "Google", "QEMU")


class Host(NamedTuple):
    """The machine below us.

    Attributes
    ----------
    cpu : dict
        The first CPU's fields of ``/proc/cpuinfo``; empty where there is none.
    vcpus : int
        Logical CPUs that are online.
    usable_vcpus : float
        Those that affinity and cgroup quotas leave to us.
    sockets : int
        CPU packages.
    memory_gb, usable_memory_gb : float
        Memory in GiB: all, and that which we can have (the cgroup's limit; without one, in
        proportion to the vCPUs).
    is_virtual : bool
        A part of some larger machine that cannot be seen from inside.
    is_aws : bool
        The firmware says so.
    instance : str
        The EC2 instance type that the firmware names, or an empty string.
    """

    cpu: dict[str, str]
    vcpus: int
    usable_vcpus: float
    sockets: int
    memory_gb: float
    usable_memory_gb: float
    is_virtual: bool
    is_aws: bool
    instance: str


def read_host(root: Path = Path("/")) -> Host:
    """Return what `root`'s ``proc`` and ``sys`` say about the machine."""
    cpu = _first_cpu(root)
    vcpus = _count(_text(root / "sys/devices/system/cpu/online")) or os.cpu_count() or 1
    quota, limit_bytes = _cgroup_limits(root)
    allowed = _count(_field(_text(root / "proc/self/status"), "Cpus_allowed_list")) or vcpus
    usable = min(float(vcpus), float(allowed), quota)
    memory_gb = _memory_gb(root) or _USUAL_GB_PER_VCPU * vcpus
    limit_gb = limit_bytes / _GIB
    if limit_gb >= memory_gb:
        limit_gb = memory_gb * usable / vcpus
    siblings = int(_float(cpu.get("siblings", ""))) or vcpus
    vendor, instance = firmware(root)
    is_metal = instance.endswith(".metal")
    hypervisor = "hypervisor" in cpu.get("flags", "").split() or vendor in _VIRTUAL_VENDORS
    # Linux without a readable /proc/cpuinfo is a sandbox: part of a machine, not one.
    sandbox = not cpu and (root / "proc").is_dir()
    return Host(
        cpu=cpu,
        vcpus=vcpus,
        usable_vcpus=usable,
        sockets=max(1, round(vcpus / siblings)),
        memory_gb=memory_gb,
        usable_memory_gb=limit_gb,
        is_virtual=(hypervisor or sandbox) and not is_metal,
        is_aws=vendor == "Amazon EC2",
        instance=instance,
    )


def firmware(root: Path) -> tuple[str, str]:
    """Return the vendor that the firmware names, and the EC2 instance type, or empty strings."""
    dmi = root / "sys/class/dmi/id"
    vendor = _text(dmi / "sys_vendor").strip()
    if vendor == "Amazon EC2":
        return vendor, _text(dmi / "product_name").strip()
    # EC2's older instances run on Xen and tell only by the version of their firmware.
    if "amazon" in _text(dmi / "bios_version").casefold():
        return "Amazon EC2", ""
    return vendor, ""


def process_age_s(root: Path = Path("/")) -> float:
    """Return the seconds since this process began; where that is unknown, its CPU seconds."""
    # Fields of /proc/self/stat after the name in brackets; the 22nd of all is the start in ticks.
    fields = _text(root / "proc/self/stat").rpartition(")")[2].split()
    try:
        started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - started_s
    except (IndexError, ValueError, AttributeError, OSError):
        age_s = 0.0
    return max(age_s, time.process_time())


def busy_cpu_s(root: Path = Path("/")) -> float:
    """Return the CPU seconds that all processes together have used; NaN where unknown."""
    fields = _text(root / "proc/stat").partition("\n")[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        return math.nan
    user, nice, system, _idle, _iowait, irq, softirq, _steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _text(path: Path) -> str:
    """Return a file's text, or an empty string."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _float(text: str) -> float:
    """Return the number that `text` begins with, or 0."""
    try:
        return float(text.split()[0])
    except (IndexError, ValueError):
        return 0.0


def _field(text: str, name: str) -> str:
    """Return the value of ``name: value``, or an empty string."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _count(ranges: str) -> int:
    """Return how many numbers a list such as ``0-3,8`` has; 0 if it is malformed."""
    total = 0
    try:
        for part in filter(None, ranges.strip().split(",")):
            first, _, last = part.partition("-")
            total += int(last or first) - int(first) + 1
    except ValueError:
        return 0
    return total


def _first_cpu(root: Path) -> dict[str, str]:
    """Return the first block of ``/proc/cpuinfo``: of many CPUs, the rest takes long to read."""
    fields: dict[str, str] = {}
    try:
        with open(root / "proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, colon, value = line.partition(":")
                if not colon:
                    break
                fields[key.strip()] = value.strip()
    except OSError:
        return {}
    return fields


def _memory_gb(root: Path) -> float:
    """Return the memory in GiB, or 0 where it is unknown."""
    kib = _float(_field(_text(root / "proc/meminfo"), "MemTotal"))
    if kib or (root / "proc").is_dir():
        return kib * 1024 / _GIB
    try:  # no Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    except (AttributeError, OSError, ValueError):
        return 0.0


def _cgroup_limits(root: Path) -> tuple[float, float]:
    """Return the tightest CPU quota (vCPUs) and memory limit (bytes); infinite where none."""
    cpus = limit = math.inf
    for folder in _cgroup_folders(root):
        quota, period = [*_text(folder / "cpu.max").split(), "", ""][:2]  # version 2
        quota = quota or _text(folder / "cpu.cfs_quota_us")  # version 1
        period = period or _text(folder / "cpu.cfs_period_us")
        if _float(quota) > 0 and _float(period) > 0:
            cpus = min(cpus, _float(quota) / _float(period))
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (in_bytes := _float(_text(folder / name))) > 0:
                limit = min(limit, in_bytes)
    return cpus, limit


def _cgroup_folders(root: Path) -> Iterator[Path]:
    """Yield the folders of our control groups and of all above them, for either version.

    Inside a container the path that the kernel gives may not exist; its mount's top is then ours.
    """
    top = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines() or ["0::/"]:
        _, controllers, path = [*line.split(":", 2), "", "", ""][:3]
        for controller in controllers.split(","):  # version 2 has one without a name
            if controller in ("", "cpu", "memory"):
                mount = top / controller
                inner = PurePosixPath(path.lstrip("/"))
                yield from (mount / folder for folder in (inner, *inner.parents))
