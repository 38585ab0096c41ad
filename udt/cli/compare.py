"""``udt compare``: runs side by side, beside a published one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from udt.cli import options as opt
from udt.cli.options import option
from udt.cli.output import page_width, print_json, print_text


def compare(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL...",
            show_default=False,
            help="Files made by udt train, or what its --json printed (.json).",
        ),
    ],
    add: Annotated[
        list[str] | None,
        option(
            "--add",
            "Another run: NAME,INSTANCE,TIME[,share=1/8][,utilisation=1][,accuracy=0.93] "
            "(repeatable).",
            metavar="RUN",
        ),
    ] = None,
    instance: opt.Instance = None,
    region: opt.Region = None,
    country: opt.Country = None,
    as_json: opt.AsJson = False,
) -> None:
    """Show runs side by side.

    Accuracy, time, size, energy and CO2e on the same grid, and a published fine-tuning of RoBERTa
    by the same formula.

    Example: udt compare a.udt b.udt --add "BERT,p3.2xlarge,2h,accuracy=0.94"
    """
    from udt.carbon import parse_baseline
    from udt.compare import compare_runs

    found = compare_runs(
        models,
        added=[parse_baseline(text) for text in add or []],
        instance=instance,
        region=region,
        country=country,
    )
    if as_json:
        print_json(found)
    else:
        from udt.costs_text import comparison_text

        print_text(comparison_text(found, page_width()))
