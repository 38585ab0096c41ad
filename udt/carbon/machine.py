"""What a machine draws at a given load, and what it took to make it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from udt.carbon import figures
from udt.carbon.families import DEFAULT, cpu_family
from udt.carbon.figures import nearest, read_row, read_table
from udt.carbon.host import Host, firmware, read_host
from udt.errors import SettingsError

LOADS = (0.0, 0.1, 0.5, 1.0)
_MANAGED = ("db.", "cache.")


class Machine(NamedTuple):
    """A machine, or the part of one that is ours.

    Attributes
    ----------
    name : str
        EC2 instance type, or the CPU's family.
    vcpus : float
        Logical CPUs, or the fraction of them that a container may use.
    memory_gb : float
        Memory, GiB.
    watts_at : tuple of float (4,)
        Power at 0, 10, 50 and 100 % load, W.
    platform_kg : float
        Making the physical machine below, kg CO2e.
    platform_share : float
        The part of that physical machine which this one is.
    band : float
        The estimate may be off by this factor either way.
    evidence : str
        What the watts rest on.
    on_aws : bool
        It stands in a data centre of AWS.
    is_here : bool
        It is the machine that we run on, so that its energy counters are ours.
    n_gpus : int
        Accelerators, whose work no CPU time tells.
    """

    name: str
    vcpus: float
    memory_gb: float
    watts_at: tuple[float, float, float, float]
    platform_kg: float
    platform_share: float
    band: float
    evidence: str
    on_aws: bool = False
    is_here: bool = False
    n_gpus: int = 0

    def watts(self, utilisation: float) -> float:
        """Return the power at a load of 0 to 1, W: piecewise linear between the known loads."""
        points = list(zip(LOADS, self.watts_at, strict=True))
        for (load0, watts0), (load1, watts1) in pairwise(points):
            if utilisation <= load1:
                return watts0 + (watts1 - watts0) * (utilisation - load0) / (load1 - load0)
        return self.watts_at[-1]


def find_machine(
    instance: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    root: Path = Path("/"),
) -> Machine:
    """Return the machine that a run is charged as, from the best evidence there is.

    An EC2 instance that the user names (`instance` or ``UDT_INSTANCE``); the one that the firmware
    names; the CPU's family and the memory; a default per vCPU. All but the first are reduced to
    what cgroups and affinity leave us.

    Parameters
    ----------
    instance : str, optional
        EC2 instance type, e.g. ``"r6g.xlarge"``.
    environ : mapping, optional
        Environment variables; ``os.environ`` by default.
    root : Path
        The folder that has ``proc`` and ``sys``.

    Raises
    ------
    SettingsError
        Unknown instance type.

    Examples
    --------
    >>> find_machine("r6g.xlarge", environ={}).watts(0.5)
    21.7
    """
    environ = os.environ if environ is None else environ
    named = instance if instance is not None else environ.get("UDT_INSTANCE") or None
    if named is not None:
        machine = ec2_instance(named)
        return machine._replace(is_here=firmware(root)[1] == machine.name)
    host = read_host(root)
    if host.instance and (row := read_row("ec2_instances", host.instance)):
        return _part(_of_row(row), host)
    return _of_family(host)


def ec2_instance(name: str) -> Machine:
    """Return an EC2 instance type.

    Raises
    ------
    SettingsError
        Unknown type.
    """
    row = read_row("ec2_instances", name.strip().casefold())
    if row is None:
        rows = read_table("ec2_instances")
        raise SettingsError(
            f"Instance {name!r} is not in the table of {len(rows)} EC2 instance types, which ends"
            f" early in 2022.{nearest(name, rows)} Name one of a like kind and size, or leave it"
            f" out to go by the CPU's family."
        )
    return _of_row(row)


def _of_row(row: dict[str, str]) -> Machine:
    part, _, whole = row["platform_share"].partition("/")
    gpus = f", {row['gpus']} × {row['gpu_name']}" if row["gpus"] else ""
    w0, w10, w50, w100 = (float(row[load]) for load in ("w0", "w10", "w50", "w100"))
    return Machine(
        name=row["instance"],
        vcpus=float(row["vcpus"]),
        memory_gb=float(row["memory_gb"]),
        watts_at=(w0, w10, w50, w100),
        platform_kg=float(row["platform_kg"]),
        platform_share=float(part) / float(whole),
        band=figures.MODEL_BAND.value,
        evidence=f"Teads Engineering 2022, EC2 {row['instance']} ({row['cpu']}{gpus})",
        on_aws=True,
        n_gpus=int(float(row["gpus"] or 0)),
    )


def ec2_instances() -> list[Machine]:
    """Return the EC2 instance types, without the managed services on the same hardware."""
    return [
        _of_row(row)
        for name, row in read_table("ec2_instances").items()
        if not name.startswith(_MANAGED) and name.count(".") == 1
    ]


def platform_kg(memory_gb: float, sockets: int, ssds: int) -> float:
    """Return what making a machine emits, kg CO2e.

    Parameters
    ----------
    memory_gb : float
        Memory, GB.
    sockets, ssds : int
        CPUs and solid-state drives.
    """
    return (
        figures.BASE_KG.value
        + (memory_gb - figures.BASE_MEMORY.value) * figures.MEMORY_KG.value
        + (sockets - 1) * figures.CPU_KG.value
        + ssds * figures.SSD_KG.value
    )


def _part(machine: Machine, host: Host) -> Machine:
    """Return the part of an instance that cgroups and affinity leave us."""
    part = host.usable_vcpus / host.vcpus
    w0, w10, w50, w100 = (watts * part for watts in machine.watts_at)
    ours = f", {host.usable_vcpus:g} of its {host.vcpus} vCPUs" if part < 1 else ""
    return machine._replace(
        vcpus=machine.vcpus * part,
        memory_gb=machine.memory_gb * part,
        watts_at=(w0, w10, w50, w100),
        platform_share=machine.platform_share * part,
        evidence=f"{machine.evidence}{ours}, named by the firmware",
        is_here=True,
    )


def _of_family(host: Host) -> Machine:
    """Return the machine below us by its CPU's family and its memory."""
    family = cpu_family(host.cpu)
    row = read_table("cpu_families")[family.row]
    memory_watts = float(read_table("cpu_families")["memory"]["max_w"]) * host.usable_memory_gb
    low, high = float(row["min_w"]), float(row["max_w"])
    w0, w10, w50, w100 = (
        host.usable_vcpus * (low + load * (high - low)) + memory_watts for load in LOADS
    )
    if host.is_virtual:
        kg = platform_kg(figures.HOST_MEMORY.value, round(figures.HOST_CPUS.value), ssds=0)
        share = host.usable_vcpus / figures.HOST_VCPUS.value
    else:
        kg = platform_kg(host.memory_gb, host.sockets, ssds=1)
        share = host.usable_vcpus / host.vcpus
    model = host.cpu.get("model name", "")
    if family.row == DEFAULT:
        what = f"average vCPU (CPU {model or 'unknown'})"
    else:
        what = family.row if family.is_own else f"{family.row} as the nearest to {model or 'it'}"
    return Machine(
        name=family.row if family.row != DEFAULT else "average vCPU",
        vcpus=host.usable_vcpus,
        memory_gb=host.usable_memory_gb,
        watts_at=(w0, w10, w50, w100),
        platform_kg=kg,
        platform_share=share,
        band=(figures.GUESS_BAND if family.row == DEFAULT else figures.MODEL_BAND).value,
        evidence=f"Cloud Carbon Footprint 2026, {what}, {host.usable_vcpus:g} of {host.vcpus}"
        f" vCPUs, {host.usable_memory_gb:.3g} GB",
        on_aws=host.is_aws,
        is_here=True,
    )
