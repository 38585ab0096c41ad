"""Where a run takes its electricity from: the grid's carbon intensity and the PUE.

Intensities are location-based: what the grid delivers there, without offsets or certificates.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from udt.carbon.figures import OWN_PUE, nearest, read_table
from udt.errors import SettingsError

_VINTAGES = {
    "teads": "Teads Engineering 2022",
    "ccf": "Cloud Carbon Footprint 2024",
    "egrid": "US EPA eGRID 2023",
}
_WORLD = "WLD"
_AWS_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_VARIABLES = ("UDT_REGION", *_AWS_VARIABLES)


class Place(NamedTuple):
    """Where the electricity comes from.

    Attributes
    ----------
    region : str
        AWS region, ISO 3166 country code, or ``"world"``.
    country : str
        The country's name, or ``"World"``.
    grid_g_per_kwh : float
        Carbon intensity of the grid, g CO2e per kWh.
    pue : float
        Power usage effectiveness: energy into the data centre / energy into its machines.
    grid_source : str
        Where both figures come from, and how the place was found.
    """

    region: str
    country: str
    grid_g_per_kwh: float
    pue: float
    grid_source: str


def find_place(
    region: str | None = None,
    country: str | None = None,
    *,
    grid_source: str | None = None,
    on_aws: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Place:
    """Return the place of a run, from the most to the least precise evidence.

    `region` or ``UDT_REGION``, then ``AWS_REGION`` and ``AWS_DEFAULT_REGION``, then `country` or
    ``UDT_COUNTRY``, then the world average. A region that only AWS' own variables name, and that
    no table has, is passed over (and said so); anything else unknown is an error.

    Parameters
    ----------
    region : str, optional
        AWS region, or ``"world"`` to ignore AWS' variables.
    country : str, optional
        ISO 3166 code of three letters, or the English name.
    grid_source : {"teads", "ccf", "egrid"}, optional
        Vintage of an AWS region's figure. By default ``teads``, and ``ccf`` where that has none.
    on_aws : bool
        The machine stands at AWS, so AWS' PUE holds even where no region is known.
    environ : mapping, optional
        Environment variables; ``os.environ`` by default.

    Raises
    ------
    SettingsError
        Unknown region, country or vintage; a vintage that has no figure there.

    Examples
    --------
    >>> find_place("us-west-1", environ={}).grid_g_per_kwh
    350.861
    >>> find_place(country="Germany", environ={}).region
    'DEU'
    """
    environ = os.environ if environ is None else environ
    if grid_source is not None and grid_source not in _VINTAGES:
        raise SettingsError(
            f"Grid source {grid_source!r} is unknown; it must be one of "
            f"{', '.join(_VINTAGES)}.{nearest(grid_source, _VINTAGES)}"
        )
    note = ""
    if region is None:
        variable = next((name for name in _VARIABLES if environ.get(name, "").strip()), "")
        region = environ.get(variable)
        note = f", from {variable}" if variable else ""
        if variable in _AWS_VARIABLES and not _is_known(environ[variable]):
            note, region, on_aws = f"; no figure for {variable}={region}", None, True
    if region is not None and region.strip().casefold() != "world":
        if country is not None:
            note += f"; {_country(country, on_aws).country} not used"
        return _aws_region(region, grid_source, note)
    if grid_source is not None:
        raise SettingsError(
            f"Grid source {grid_source!r} chooses between figures for AWS regions, but no region "
            f"is known. Name one, or leave the grid source out."
        )
    if region is not None:
        return _country(_WORLD, on_aws)
    if country is None:
        country = environ.get("UDT_COUNTRY") or _WORLD
    return _country(country, on_aws, note)


def regions(grid_source: str | None = None) -> list[Place]:
    """Return all AWS regions, the least g CO2e per kWh of computing (grid × PUE) first.

    Parameters
    ----------
    grid_source : {"teads", "ccf", "egrid"}, optional
        Only the regions that this vintage has; by default all, as :func:`find_place` has them.
    """
    rows = read_table("aws_regions")
    places = [
        find_place(name, grid_source=grid_source, environ={})
        for name, row in rows.items()
        if grid_source is None or row.get(grid_source, "unknown") != ""
    ]
    return sorted(places, key=lambda place: place.grid_g_per_kwh * place.pue)


def _is_known(region: str) -> bool:
    """Return whether the tables have an AWS region."""
    return region.strip().casefold() in read_table("aws_regions")


def _aws_region(name: str, vintage: str | None, how: str = "") -> Place:
    """Return the place of an AWS region."""
    rows = read_table("aws_regions")
    row = rows.get(name.strip().casefold())
    if row is None:
        hint = nearest(name, rows)
        if (country := _country_row(name)) is not None:
            hint = f" Give {country['country']} as the country."
        raise SettingsError(
            f"Region {name!r} is not an AWS region that the grid tables know.{hint}"
            f" udt.carbon.regions() lists them; elsewhere, name the country instead."
        )
    if vintage is None:
        vintage = "teads" if row["teads"] else "ccf"
    if not row[vintage]:
        have = [region for region, other in rows.items() if other[vintage]]
        raise SettingsError(
            f"{_VINTAGES[vintage]} has no figure for {row['region']}"
            f" ({len(have)} regions have one, {have[0]} among them)."
            f" Choose another grid source: {', '.join(v for v in _VINTAGES if row[v])}."
        )
    # eGRID knows grids, not data centres; the PUE of its own time is Cloud Carbon Footprint's.
    pue = row["pue_teads" if vintage == "teads" else "pue_ccf"]
    source = f"{_VINTAGES[vintage]}, AWS {row['region']}, {row['country']}{how}"
    return Place(row["region"], row["country"], float(row[vintage]), float(pue), source)


def _country(name: str, on_aws: bool, note: str = "") -> Place:
    """Return the place of a country, or of the world."""
    row = _country_row(name)
    if row is None:
        rows = read_table("countries")
        known = [name for row in rows.values() for name in (row["country"], row["iso3"])]
        raise SettingsError(
            f"Country {name!r} is unknown; an ISO 3166 code of three letters (DEU) or the English "
            f"name (Germany) is expected.{nearest(name, known)}"
        )
    pue = float(read_table("aws_regions")["us-west-1"]["pue_teads"]) if on_aws else OWN_PUE.value
    if row["iso3"] == _WORLD:
        region = "world"
        source = "world average, International Energy Agency 2018-2019; name a region or country"
    else:
        region = row["iso3"]
        source = f"Our World in Data, {row['country']} {row['year']}"
    return Place(region, row["country"], float(row["g_per_kwh"]), pue, source + note)


def _country_row(name: str) -> dict[str, str] | None:
    """Return a country's row by its code or its name in any case, or None."""
    rows = read_table("countries")
    folded = name.strip().casefold()
    by_name = (row for row in rows.values() if row["country"].casefold() == folded)
    return rows.get(folded.upper()) or next(by_name, None)
