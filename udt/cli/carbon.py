"""``udt carbon``: the estimator on its own, for work that ran or may run somewhere else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from udt.cli import options as opt
from udt.cli.options import option
from udt.cli.output import page_width, print_json, print_text
from udt.errors import SettingsError

if TYPE_CHECKING:
    from udt.carbon import Footprint


def _number(text: str) -> float:
    """Return a number; its range is checked where its meaning is known."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number") from None


def carbon(
    hours: Annotated[
        float,
        option("--hours", "Time on the machine.", metavar="H", parser=_number, show_default=False),
    ],
    instance: opt.Instance = None,
    region: opt.Region = None,
    country: opt.Country = None,
    utilisation: Annotated[
        float | None,
        option("--utilisation", "Mean load, 0 to 1; 0.5 is assumed.", metavar="U", parser=_number),
    ] = None,
    share: Annotated[
        str, option("--share", "Part of the machine, e.g. 1/8 or 0.125.", metavar="PART")
    ] = "1",
    grid_source: Annotated[
        str | None,
        option("--grid-source", "Figures for AWS regions: teads, ccf, egrid.", metavar="NAME"),
    ] = None,
    reserved: Annotated[
        bool, option("--reserved", "The machine is kept for this work: count all of it.")
    ] = False,
    shared_by: Annotated[
        int, opt.whole("--shared-by", "Teams that share the result and its cost.")
    ] = 1,
    by_region: Annotated[
        bool, option("--regions", "List the same work in every AWS region, greenest first.")
    ] = False,
    by_instance: Annotated[
        bool, option("--instances", "List the same work on every EC2 type, greenest first.")
    ] = False,
    min_memory: Annotated[
        float,
        option(
            "--min-memory", "For --instances: memory that it takes.", metavar="GB", parser=_number
        ),
    ] = 0.0,
    as_json: opt.AsJson = False,
) -> None:
    """Estimate energy and CO2e of some hours.

    Without --instance, of this machine.

    Example: udt carbon --hours 0.7 --instance r6g.xlarge --region us-west-1
    """
    if shared_by < 1:
        raise SettingsError(f"Got --shared-by {shared_by}. Expected a whole number of 1 or more.")

    from udt.carbon import estimate, find_machine, find_place, parse_share

    machine = find_machine(instance)
    if by_instance and machine.n_gpus:
        raise SettingsError(
            f"--instances lists types that do the same CPU work, but {machine.name} works with its"
            f" {machine.n_gpus} GPUs. Name an --instance without any, or leave --instances out."
        )
    charged: dict[str, Any] = {"share": parse_share(share), "reserved": reserved}
    place = find_place(region, country, grid_source=grid_source, on_aws=machine.on_aws)
    footprint = estimate(machine, place, hours=hours, utilisation=utilisation, **charged)
    shared = footprint.scaled(1 / shared_by)
    found: dict[str, Any] = {
        "energy": shared.energy_dict(),
        "carbon": {
            **shared.carbon_dict(),
            "sci": shared.sci_dict("the work as given"),
            "basis": shared.basis_dict(),
        },
    }
    if by_region:
        from udt.carbon import regions

        load = footprint.utilisation
        found["regions"] = _in_order(
            (
                estimate(machine, other, hours=hours, utilisation=load, **charged)
                for other in regions(grid_source)
            ),
            shared_by,
        )
    if by_instance:
        from udt.carbon import instances

        cpu_s = hours * 3600 * footprint.utilisation * machine.vcpus
        found["instances"] = _in_order(
            instances(place, hours=hours, cpu_s=cpu_s, min_memory_gb=min_memory, **charged),
            shared_by,
        )
    if as_json:
        print_json(found)
    else:
        print_text(_words(f"{hours:g} h on {machine.name}", found))


def _in_order(footprints: Iterable[Footprint], shared_by: int) -> list[dict[str, Any]]:
    """Return the same work elsewhere, the least CO2e first."""
    rows = [
        {
            "region": one.place.region,
            "country": one.place.country,
            "instance": one.machine.name,
            "vcpus": one.machine.vcpus,
            "memory_gb": one.machine.memory_gb,
            "hours": one.hours,
            "utilisation": one.utilisation,
            **one.energy_dict(),
            **one.carbon_dict(),
        }
        for one in (footprint.scaled(1 / shared_by) for footprint in footprints)
    ]
    return sorted(rows, key=lambda row: float(row["total_g"]))


def _words(title: str, found: dict[str, Any]) -> str:
    from udt.costs_text import choices_text
    from udt.report import footprint_text

    pages = [footprint_text(title, found["energy"], found["carbon"], page_width())]
    columns = {
        "regions": {
            "region": "region",
            "country": "country",
            "grid_g_per_kwh": "g/kWh",
            "pue": "PUE",
        },
        "instances": {"instance": "instance", "vcpus": "vCPUs", "memory_gb": "GB"},
    }
    for what, headings in columns.items():
        if what in found:
            same = f"the same work by {what.removesuffix('s')}"
            pages.append(choices_text(same, found[what], headings, page_width()))
    return "\n\n".join(pages)
