"""Energy counters of the CPU packages and their memory, as Linux shows them (RAPL).

Layout of ``/sys/class/powercap``: a folder per zone with the files ``name`` ("package-0", "core",
"uncore", "dram", "psys"), ``energy_uj`` (µJ so far) and ``max_energy_range_uj`` (where that
starts again at 0). A package contains its cores; psys contains everything; the same package may
appear twice, by its registers (``intel-rapl:0``) and by its memory map (``intel-rapl-mmio:0``).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

# No package draws more than this for long. It tells after how many seconds without a reading a
# counter may have started again more than once, which cannot be seen from its value.
_MAX_ZONE_WATTS = 600.0


class _Zone(NamedTuple):
    energy: Path
    range_uj: int


class Rapl:
    """Energy since this was opened.

    Attributes
    ----------
    n_packages, n_dram : int
        Zones that are summed up.

    Notes
    -----
    A counter starts again at 0 after minutes (about two at the least), so :meth:`joules` has to
    be called more often than that: for each epoch, say. After a longer gap it gives ``None``
    from then on.
    """

    def __init__(self, packages: list[_Zone], dram: list[_Zone], now_s: float) -> None:
        self.n_packages, self.n_dram = len(packages), len(dram)
        self._zones = packages + dram
        self._last_uj = [_read_int(zone.energy) for zone in self._zones]
        self._total_uj = 0
        self._last_s = now_s
        self._max_gap_s = min(zone.range_uj for zone in self._zones) / 1e6 / _MAX_ZONE_WATTS
        self._is_trusted = True

    @classmethod
    def open(cls, root: Path, now_s: float) -> Rapl | None:
        """Return the counters below `root`, or None where they are missing or not readable.

        Parameters
        ----------
        root : Path
            The folder that has ``sys``.
        now_s : float
            Seconds on any clock; the same for :meth:`joules`.
        """
        try:
            packages, dram = _find_zones(root / "sys/class/powercap")
            return cls(packages, dram, now_s) if packages else None
        except (OSError, ValueError):  # mostly PermissionError: root only, since Linux 5.10
            return None

    def joules(self, now_s: float) -> float | None:
        """Return the energy since opening in J, or None if a reading failed or came too late."""
        if not self._is_trusted or now_s - self._last_s > self._max_gap_s:
            self._is_trusted = False
            return None
        try:
            readings = [_read_int(zone.energy) for zone in self._zones]
        except (OSError, ValueError):
            self._is_trusted = False
            return None
        for zone, before, after in zip(self._zones, self._last_uj, readings, strict=True):
            self._total_uj += after - before + (zone.range_uj if after < before else 0)
        self._last_uj, self._last_s = readings, now_s
        return self._total_uj / 1e6


def _read_int(path: Path) -> int:
    """Return the number in a file."""
    return int(path.read_text(encoding="ascii"))


def _find_zones(powercap: Path) -> tuple[list[_Zone], list[_Zone]]:
    """Return the package and the memory zones; for a machine with psys alone, psys as package."""
    names: dict[str, str] = {}
    folders: dict[str, Path] = {}
    for pattern in ("intel-rapl*", "intel-rapl*/intel-rapl*:*"):
        for folder in powercap.glob(pattern):
            if (folder / "energy_uj").exists():  # the zones' parent has no counter
                names[folder.name] = (folder / "name").read_text(encoding="ascii").strip()
                folders[folder.name] = folder
    packages: dict[str, Path] = {}
    dram: dict[str, Path] = {}
    psys: dict[str, Path] = {}
    # Memory maps first, so that of two views of one package the registers' stays.
    for zone in sorted(folders, key=lambda zone: ("mmio" not in zone, zone)):
        name = names[zone]
        if name.startswith("package"):
            packages[name] = folders[zone]
        elif name == "dram":
            dram[names.get(zone.rpartition(":")[0], zone)] = folders[zone]
        elif name == "psys":
            psys[name] = folders[zone]
    if not packages:
        return _zones(psys), []
    return _zones(packages), _zones(dram)


def _zones(folders: dict[str, Path]) -> list[_Zone]:
    """Return zones with their ranges."""
    return [
        _Zone(folder / "energy_uj", _read_int(folder / "max_energy_range_uj"))
        for folder in folders.values()
    ]
