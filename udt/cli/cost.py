"""What a command has cost, beside its result."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from udt.cli.text import say

if TYPE_CHECKING:
    from udt.carbon import Footprint


class Cost:
    """Energy and CO2e of the process, from its start on.

    Parameters
    ----------
    instance, region, country : str or None
        What it is charged as, and where; whoever names one wants to be told.

    Raises
    ------
    SettingsError
        One of them is unknown.
    """

    def __init__(self, instance: str | None, region: str | None, country: str | None) -> None:
        from udt.carbon import Meter, find_machine, find_place

        machine = find_machine(instance)
        place = find_place(region, country, on_aws=machine.on_aws)
        self._meter = Meter(machine, place, since_process_start=True)
        self._is_asked = any(name is not None for name in (instance, region, country))

    def blocks(self) -> dict[str, Any]:
        """Return ``energy`` and ``carbon``, as ``--json`` prints them."""
        footprint = self._meter.so_far()
        return {"energy": footprint.energy_dict(), "carbon": footprint.carbon_dict()}

    def tell(self, n_rows: int) -> None:
        """Say it on stderr, if somebody is there to read it or has asked for it."""
        if self._is_asked or sys.stderr.isatty():
            say(_words(self._meter.so_far(), n_rows))


def _words(footprint: Footprint, n_rows: int) -> str:
    from udt import _words as words

    carbon = footprint.carbon_dict()
    return (
        f"{words.rows(n_rows)} in {words.duration(footprint.hours * 3600)}: "
        f"{words.energy(footprint.kwh)}, CO2e {words.grams(footprint.total_g)} "
        f"({words.band(carbon)}; {footprint.place.region} {footprint.place.grid_g_per_kwh:g} g/kWh)"
    )
