"""Which micro-architecture a CPU is of, among those whose watts per vCPU are known."""

from __future__ import annotations

import re
from typing import NamedTuple

DEFAULT = "default"


class Family(NamedTuple):
    """A row of ``cpu_families.csv`` for some CPU.

    Attributes
    ----------
    row : str
        The row's name.
    is_own : bool
        The CPU is of that very family; False: the row is its nearest kin, or the default.
    """

    row: str
    is_own: bool


# Display models of Intel's family 6: server chips, and client chips with the same core design.
_INTEL_SERVER = {
    0x6A: "Ice Lake",
    0x6C: "Ice Lake",
    0x8F: "Sapphire Rapids",
    0xCF: "Emerald Rapids",
    0xAD: "Granite Rapids",
    0xAE: "Granite Rapids",
}
_INTEL_CLIENT = {
    "Sky Lake": (0x4E, 0x5E, 0x8E, 0x9E, 0xA5, 0xA6),
    "Ice Lake": (0x7D, 0x7E, 0x8C, 0x8D, 0xA7),
    "Sapphire Rapids": (0x97, 0x9A, 0xB7, 0xBA, 0xBF),
    "Granite Rapids": (0xAA, 0xAC, 0xBD, 0xC5, 0xC6),
}
_SKY_LAKE_SP = 0x55  # one model number for three generations, told apart by their stepping

# AMD: family, first model of the generation (up to the next one's), row, is that a server chip.
_AMD = (
    (0x17, 0x00, "EPYC 1st Gen", True),
    (0x17, 0x08, "EPYC 1st Gen", False),
    (0x17, 0x30, "EPYC 2nd Gen", True),
    (0x17, 0x40, "EPYC 2nd Gen", False),
    (0x18, 0x00, "EPYC 1st Gen", False),
    (0x19, 0x00, "EPYC 3rd Gen", True),
    (0x19, 0x10, "EPYC 4th Gen", True),
    (0x19, 0x20, "EPYC 3rd Gen", False),
    (0x19, 0x60, "EPYC 4th Gen", False),
    (0x19, 0xA0, "EPYC 4th Gen", True),
    (0x1A, 0x00, "EPYC 4th Gen", False),
)

# ARM's Neoverse N1, V1 and V2: the cores of Graviton 2, 3 and 4 (and of others by the first).
_NEOVERSE = {0xD0C, 0xD40, 0xD4F}

# Model names, for where a hypervisor masks the numbers. The last digit of an EPYC's number and
# the second of a Xeon Scalable's tell the generation; the rest are virtual models of QEMU.
_NAMES = (
    (r"EPYC 7\w\w1", "EPYC 1st Gen"),
    (r"EPYC[- ](7\w\w2|Rome)", "EPYC 2nd Gen"),
    (r"EPYC[- ](7\w\w3|Milan)", "EPYC 3rd Gen"),
    (r"EPYC[- ]([89]\w\w4|Genoa)", "EPYC 4th Gen"),
    (r"(Platinum|Gold|Silver|Bronze) \w1\d\d|Skylake", "Sky Lake"),
    (r"(Platinum|Gold|Silver|Bronze) \w2\d\d|Cascade ?lake", "Cascade Lake"),
    (r"(Platinum|Gold|Silver|Bronze) \w3\d\d|Ice ?lake", "Ice Lake"),
    (r"(Platinum|Gold|Silver|Bronze) \w4\d\d|Sapphire ?Rapids", "Sapphire Rapids"),
    (r"(Platinum|Gold|Silver|Bronze) \w5\d\d|Emerald ?Rapids", "Emerald Rapids"),
    (r"Xeon 6\d\d\dP|Granite ?Rapids", "Granite Rapids"),
    (r"Graviton ?[234]|Neoverse", "Graviton 2/3/4"),
)


def cpu_family(cpu: dict[str, str]) -> Family:
    """Return the family of a CPU.

    By its numbers, else by its name, else by the instructions that it offers.

    Parameters
    ----------
    cpu : dict
        One CPU's fields of ``/proc/cpuinfo``; may be empty.
    """
    flags = set(cpu.get("flags", "").split())
    family, model = _number(cpu, "cpu family"), _number(cpu, "model")
    vendor = cpu.get("vendor_id", "")
    found = None
    if vendor == "GenuineIntel" and family == 6:
        found = _intel(model, _number(cpu, "stepping"))
    elif vendor in ("AuthenticAMD", "HygonGenuine"):
        found = _amd(family, model)
    elif _number(cpu, "CPU implementer") == 0x41 and _number(cpu, "CPU part") in _NEOVERSE:
        found = Family("Graviton 2/3/4", True)
    if found is None or not found.is_own:
        found = _by_name(cpu.get("model name", "")) or _by_flags(flags) or found
    return found or Family(DEFAULT, False)


def _number(cpu: dict[str, str], field: str) -> int:
    """Return a field as a number, decimal or hexadecimal; -1 if it is absent or malformed."""
    try:
        return int(cpu.get(field, ""), 0)
    except ValueError:
        return -1


def _intel(model: int, stepping: int) -> Family | None:
    """Return the family of an Intel CPU by its display model."""
    if model == _SKY_LAKE_SP:
        return Family("Sky Lake" if stepping <= 4 else "Cascade Lake", True)
    if model in _INTEL_SERVER:
        return Family(_INTEL_SERVER[model], True)
    kin = (row for row, models in _INTEL_CLIENT.items() if model in models)
    return next((Family(row, False) for row in kin), None)


def _amd(family: int, model: int) -> Family | None:
    """Return the family of an AMD CPU, or one with AMD's design."""
    found = None
    for of_family, first_model, row, is_own in _AMD:
        if family == of_family and model >= first_model:
            found = Family(row, is_own)
    return found


def _by_name(name: str) -> Family | None:
    """Return the family that the model name tells, if any."""
    plain = re.sub(r"\((R|TM)\)", "", name, flags=re.IGNORECASE)
    for pattern, row in _NAMES:
        if re.search(pattern, plain, re.IGNORECASE):
            return Family(row, True)
    return None


def _by_flags(flags: set[str]) -> Family | None:
    """Return the oldest family with these instructions: they can be hidden, never invented."""
    if "amx_fp16" in flags:
        return Family("Granite Rapids", False)
    if "amx_tile" in flags:
        return Family("Sapphire Rapids", False)
    return None
