"""Energy and CO2e of some hours on some machine somewhere.

The formula is the Software Carbon Intensity's (ISO/IEC 21031:2024), ``(E · I + M) / R``::

    E · I = watts(utilisation) / 1000 · hours · share · PUE · g_per_kwh
    M     = platform_kg · 1000 · hours / life · platform_share · share
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from udt.carbon import figures
from udt.carbon.grid import Place
from udt.carbon.machine import LOADS, Machine
from udt.errors import SettingsError

_G_PER_KG = 1000.0
_W_PER_KW = 1000.0
_S_PER_H = 3600.0


class Footprint(NamedTuple):
    """Energy and CO2e of a piece of work.

    Attributes
    ----------
    machine : Machine
        What it is charged as.
    place : Place
        Where.
    hours : float
        Time on the machine, h.
    utilisation : float
        Mean load of the machine meanwhile, 0 to 1.
    share : float
        The part of the machine that is charged, 0 to 1.
    kwh : float
        Energy into the machine, before the data centre's overhead (PUE), kWh.
    operational_g : float
        CO2e of the electricity, PUE included, g.
    embodied_g : float
        This work's part of making the machine, g CO2e.
    band : float
        The total may be off by this factor either way.
    energy_source : str
        How the energy was found.
    """

    machine: Machine
    place: Place
    hours: float
    utilisation: float
    share: float
    kwh: float
    operational_g: float
    embodied_g: float
    band: float
    energy_source: str

    @property
    def total_g(self) -> float:
        """Electricity and manufacturing, g CO2e."""
        return self.operational_g + self.embodied_g

    @property
    def low_g(self) -> float:
        """Lower end of the band, g CO2e."""
        return self.total_g / self.band

    @property
    def high_g(self) -> float:
        """Upper end of the band, g CO2e."""
        return self.total_g * self.band

    def scaled(self, factor: float) -> Footprint:
        """Return the footprint of `factor` times the work.

        For a million predictions from a thousand measured, for the whole training from its first
        epoch, for each of K teams that share a model (``1 / K``).

        Raises
        ------
        SettingsError
            If `factor` is negative or not finite.
        """
        check_range("factor", factor)
        return self._replace(
            hours=self.hours * factor,
            kwh=self.kwh * factor,
            operational_g=self.operational_g * factor,
            embodied_g=self.embodied_g * factor,
        )

    def energy_dict(self) -> dict[str, Any]:
        """Return the report's ``energy`` block."""
        return {"kwh": self.kwh, "source": self.energy_source}

    def carbon_dict(self) -> dict[str, Any]:
        """Return the report's ``carbon`` block."""
        return {
            "total_g": self.total_g,
            "operational_g": self.operational_g,
            "embodied_g": self.embodied_g,
            "low_g": self.low_g,
            "high_g": self.high_g,
            "region": self.place.region,
            "grid_g_per_kwh": self.place.grid_g_per_kwh,
            "pue": self.place.pue,
            "grid_source": self.place.grid_source,
        }

    def basis_dict(self) -> dict[str, Any]:
        """Return everything the figures rest on, with units in the names, for an audit."""
        machine = self.machine
        return {
            "machine": machine.name,
            "evidence": machine.evidence,
            "vcpus": machine.vcpus,
            "memory_gb": machine.memory_gb,
            "watts_at_load": dict(zip(map(str, LOADS), machine.watts_at, strict=True)),
            "utilisation": self.utilisation,
            "hours": self.hours,
            "share": self.share,
            "platform_kg": machine.platform_kg,
            "platform_share": machine.platform_share,
            "life_h": figures.LIFE.value,
            "band": self.band,
            "constants": {name: figure._asdict() for name, figure in figures.CONSTANTS.items()},
        }

    def sci_dict(self, functional_unit: str, units: float = 1.0) -> dict[str, Any]:
        """Return the Software Carbon Intensity with its parts (ISO/IEC 21031:2024).

        Parameters
        ----------
        functional_unit : str
            What one unit is, e.g. ``"one training run"``.
        units : float
            How many of them this footprint covers.

        Raises
        ------
        SettingsError
            If `units` is not positive.
        """
        check_range("units", units, allow_zero=False)
        return {
            "standard": "ISO/IEC 21031:2024",
            "functional_unit": functional_unit,
            "boundary": "CPU, memory and accelerators of the machine while it ran, the data"
            " centre's overhead, and the machine's manufacturing; no network, no storage elsewhere",
            "E_kwh": self.kwh * self.place.pue,
            "I_g_per_kwh": self.place.grid_g_per_kwh,
            "M_g": self.embodied_g,
            "R": units,
            "SCI_g_per_unit": self.total_g / units,
        }


def estimate(
    machine: Machine,
    place: Place,
    *,
    hours: float,
    utilisation: float | None = None,
    cpu_s: float | None = None,
    share: float = 1.0,
    reserved: bool = False,
) -> Footprint:
    """Return the footprint of some hours on a machine.

    Parameters
    ----------
    machine, place : Machine, Place
        What runs, and where.
    hours : float
        Wall time, h.
    utilisation : float, optional
        Mean load, 0 to 1. Without it and without `cpu_s`: half, as of the average cloud server.
    cpu_s : float, optional
        CPU seconds that were used, from which the load follows. Work that was measured on a
        larger machine and would not fit into `hours` on this one is charged for the time that it
        would take here at full load.
    share : float
        The part of the machine that the work has, e.g. 1/8 for one GPU of eight.
    reserved : bool
        The whole machine is kept for this work: it counts in full, whatever the share.

    Raises
    ------
    SettingsError
        A value out of its range, or both `utilisation` and `cpu_s`.

    Examples
    --------
    >>> from udt.carbon import find_machine, find_place
    >>> machine, place = find_machine("r6g.xlarge"), find_place("us-west-1")
    >>> round(estimate(machine, place, hours=0.7, utilisation=1).total_g, 2)
    11.13
    """
    check_range("hours", hours)
    check_range("share", share, 1.0, allow_zero=False)
    if cpu_s is not None and utilisation is not None:
        raise SettingsError(
            f"Got utilisation={utilisation!r} and cpu_s={cpu_s!r}, but each implies the other."
            f" Give one of them."
        )
    if cpu_s is not None:
        check_range("cpu_s", cpu_s)
        hours = max(hours, cpu_s / _S_PER_H / machine.vcpus)
        load = min(1.0, cpu_s / (hours * _S_PER_H * machine.vcpus)) if hours > 0 else 0.0
        how = "from CPU time"
    elif utilisation is not None:
        check_range("utilisation", utilisation, 1.0)
        load, how = utilisation, f"at {utilisation:.3g} load"
    else:
        load = figures.HALF_LOAD.value
        how = f"at an assumed {load:g} load"
    charged = 1.0 if reserved else share
    life_g = machine.platform_kg * _G_PER_KG * machine.platform_share
    kwh = machine.watts(load) / _W_PER_KW * hours * charged
    return Footprint(
        machine=machine,
        place=place,
        hours=hours,
        utilisation=load,
        share=charged,
        kwh=kwh,
        operational_g=kwh * place.pue * place.grid_g_per_kwh,
        embodied_g=life_g * hours / figures.LIFE.value * charged,
        band=machine.band,
        energy_source=f"estimate: {machine.evidence}, {how}"
        + (", reserved in full" if reserved else ""),
    )


def with_energy(footprint: Footprint, kwh: float, band: float, source: str) -> Footprint:
    """Return a footprint with its energy replaced by one that was measured."""
    place = footprint.place
    return footprint._replace(
        kwh=kwh,
        operational_g=kwh * place.pue * place.grid_g_per_kwh,
        band=band,
        energy_source=source,
    )


def parse_share(text: str | float) -> float:
    """Return a share of a machine, given as ``"1/8"``, ``"0.125"`` or 0.125.

    Raises
    ------
    SettingsError
        If it is not a number above 0 and at most 1.

    Examples
    --------
    >>> parse_share("1/8")
    0.125
    """
    part, slash, whole = str(text).partition("/")
    try:
        share = float(part) / float(whole) if slash else float(part)
    except (ValueError, ZeroDivisionError):
        share = math.nan
    if not 0 < share <= 1:
        raise SettingsError(
            f"Share {text!r} is not a part of a machine; a number above 0 and at most 1 is"
            f" expected, such as 1/8 or 0.125."
        )
    return share


def split(whole: Footprint, parts: Iterable[Footprint]) -> list[Footprint]:
    """Return `parts` scaled so that their energy and their CO2e add up to the whole's.

    Power is no linear function of load, so that the parts of a run, each at its own load, do not
    sum up to the run at its mean load by themselves.
    """
    parts = list(parts)
    kwh = sum(part.kwh for part in parts)
    embodied_g = sum(part.embodied_g for part in parts)
    by_energy = whole.kwh / kwh if kwh > 0 else 0.0
    by_time = whole.embodied_g / embodied_g if embodied_g > 0 else 0.0
    return [
        part._replace(
            kwh=part.kwh * by_energy,
            operational_g=part.operational_g * by_energy,
            embodied_g=part.embodied_g * by_time,
            band=whole.band,
            energy_source=whole.energy_source,
        )
        for part in parts
    ]


def check_range(
    name: str, value: float, high: float = math.inf, *, allow_zero: bool = True
) -> None:
    """Raise unless `value` is a finite number from 0 to `high`.

    Raises
    ------
    SettingsError
        If it is not.
    """
    if math.isfinite(value) and 0 <= value <= high and (allow_zero or value > 0):
        return
    least = "0 or more" if allow_zero else "above 0"
    most = f" and at most {high:g}" if high < math.inf else ""
    raise SettingsError(
        f"The {name} must be a finite number, {least}{most}. Got {value!r} instead: correct it."
    )
