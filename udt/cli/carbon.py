"""``udt carbon``: the estimator on its own, for work that ran or may run somewhere else."""

from __future__ import annotations

from typing import Annotated

import typer

from udt.cli import options as opt
from udt.cli.options import option
from udt.cli.output import page_width, print_json, print_text
from udt.errors import SettingsError


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
    footprint = estimate(
        machine,
        find_place(region, country, grid_source=grid_source, on_aws=machine.on_aws),
        hours=hours,
        utilisation=utilisation,
        share=parse_share(share),
        reserved=reserved,
    ).scaled(1 / shared_by)
    found = {"energy": footprint.energy_dict(), "carbon": footprint.carbon_dict()}
    if as_json:
        print_json(found)
    else:
        from udt.report import footprint_text

        title = f"{hours:g} h on {machine.name}"
        print_text(footprint_text(title, found["energy"], found["carbon"], page_width()))
