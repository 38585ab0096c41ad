"""Make the tables of ``udt/data`` from the reduced CSVs of their public sources.

Usage: ``python scripts/make_carbon_tables.py FOLDER``, with these four files in FOLDER:

- ``ec2_instances.csv``: Teads Engineering, AWS EC2 Carbon Footprint Dataset (CC BY 4.0)
- ``ccf_per_vcpu.csv``: Cloud Carbon Footprint, coefficients per CPU family (Apache-2.0)
- ``aws_regions.csv``: grid figures of Teads, Cloud Carbon Footprint and the EPA's eGRID
- ``country_intensity.csv``: Our World in Data (CC BY 4.0), as carried by codecarbon (MIT)

Each output starts with ``#`` lines that carry the attribution along with the figures.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

OUTPUT = Path(__file__).resolve().parents[1] / "udt" / "data"
SHEET_LIFE_H = 34_560  # the Teads sheet counts four years of twelve months of thirty days

CC_BY = "https://creativecommons.org/licenses/by/4.0/"
ATTRIBUTION = {
    "ec2_instances.csv": (
        "Teads Engineering, AWS EC2 Carbon Footprint Dataset, snapshot of 2022-08-17.",
        f"CC BY 4.0 ({CC_BY}); changed: columns reduced, platform share added.",
        "Watts of the instance at 0, 10, 50, 100 % load; platform_kg: kg CO2e of making its host.",
    ),
    "cpu_families.csv": (
        "Cloud Carbon Footprint, coefficients of 2026, Apache-2.0.",
        "Watts per vCPU when idle and at full load; the memory row: watts per GB.",
    ),
    "aws_regions.csv": (
        "g CO2e per kWh and power usage effectiveness by AWS region, three vintages.",
        f"teads: Teads Engineering 2022, CC BY 4.0 ({CC_BY}).",
        "ccf: Cloud Carbon Footprint 2024, Apache-2.0.",
        "egrid: US EPA eGRID 2023, the state's figure, public domain.",
    ),
    "countries.csv": (
        "g CO2e per kWh by country: Our World in Data, Ember, Energy Institute.",
        f"CC BY 4.0 ({CC_BY}), as carried by codecarbon 3.3.2 (MIT).",
        "Changed: a figure of 0 (CAF) replaced by hydropower's median (IPCC 2014).",
        "WLD: International Energy Agency, world average of 2018-2019.",
    ),
}

COLUMNS = {
    "ec2_instances.csv": "instance vcpus memory_gb cpu gpus gpu_name "
    "w0 w10 w50 w100 platform_kg platform_share",
    "cpu_families.csv": "family min_w max_w",
    "aws_regions.csv": "region country teads pue_teads ccf pue_ccf egrid",
    "countries.csv": "iso3 country g_per_kwh year",
}

# Countries of the regions whose cell is empty in the source.
REGION_COUNTRY = {
    "ap-southeast-3": "Indonesia",
    "me-central-1": "United Arab Emirates",
    "us-gov-east-1": "United States",
    "us-gov-west-1": "United States",
}
FAMILY_KEY = {
    "default (AWS average)": "default",
    "memory (per GB)": "memory",
    "Graviton 2/3/4 (EPYC 2nd Gen proxy)": "Graviton 2/3/4",
}
# A grid of 0 g/kWh would make every run there free. Such a grid is all hydropower: its
# life-cycle median (IPCC 2014, AR5 WG3 annex III) is what the source gives its like.
HYDROPOWER_G_PER_KWH, HYDROPOWER_YEAR = "24.0", "2014"


def read(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of one source."""
    with open(folder / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(name: str, rows: Iterable[Sequence[str]]) -> None:
    """Write one table under its attribution."""
    with open(OUTPUT / name, "w", encoding="utf-8", newline="") as file:
        file.writelines(f"# {line}\n" for line in ATTRIBUTION[name])
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS[name].split())
        writer.writerows(rows)


def short(number: str) -> str:
    """Return a number without a trailing ``.0``."""
    return number.removesuffix(".0")


def platform_share(row: dict[str, str]) -> str:
    """Return the part of its host that an instance is, as a fraction.

    That is its part of the host's vCPUs; where the sheet's own hourly figure says otherwise
    (instances that differ in memory alone), its part of the memory.

    Raises
    ------
    ValueError
        If neither part explains the sheet's hourly figure.
    """
    hourly_g = float(row["hourly_embodied_g_4y_teads2022"])
    whole_g = float(row["platform_embodied_kg"]) * 1000 / SHEET_LIFE_H
    for part, whole in (("vcpu", "platform_vcpu"), ("memory_gb", "platform_memory_gb")):
        share = float(row[part]) / float(row[whole])
        if abs(share * whole_g - hourly_g) <= max(0.06, 0.005 * hourly_g):
            return f"{short(row[part])}/{short(row[whole])}"
    raise ValueError(f"{row['instance']}: no share of the platform explains {hourly_g} g/h")


def instance_rows(folder: Path) -> Iterable[list[str]]:
    """Yield the rows of ``ec2_instances.csv``."""
    for row in read(folder, "ec2_instances.csv"):
        yield [
            row["instance"],
            row["vcpu"],
            short(row["memory_gb"]),
            row["cpu"],
            row["gpus"] if row["gpus"] != "0" else "",
            row["gpu_name"],
            *(short(row[load]) for load in ("idle_w", "w10", "w50", "w100")),
            row["platform_embodied_kg"],
            platform_share(row),
        ]


def family_rows(folder: Path) -> Iterable[list[str]]:
    """Yield the rows of ``cpu_families.csv``."""
    for row in read(folder, "ccf_per_vcpu.csv"):
        name = row["microarchitecture"]
        yield [FAMILY_KEY.get(name, name), row["min_w"], row["max_w"]]


def region_rows(folder: Path) -> Iterable[list[str]]:
    """Yield the rows of ``aws_regions.csv``."""
    for row in read(folder, "aws_regions.csv"):
        region, country, *figures = row.values()
        yield [region, country or REGION_COUNTRY[region], *figures]


def country_rows(folder: Path) -> Iterable[list[str]]:
    """Yield the rows of ``countries.csv``."""
    for row in read(folder, "country_intensity.csv"):
        iso3, country, g_per_kwh, year = row.values()
        if iso3 == "WLD":
            country = "World"
        if float(g_per_kwh) == 0:
            g_per_kwh, year = HYDROPOWER_G_PER_KWH, HYDROPOWER_YEAR
        yield [iso3, country, g_per_kwh, year]


def main(folder: Path) -> None:
    """Write all tables."""
    write("ec2_instances.csv", instance_rows(folder))
    write("cpu_families.csv", family_rows(folder))
    write("aws_regions.csv", region_rows(folder))
    write("countries.csv", country_rows(folder))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
