"""``udt bench``: what predicting with a model costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from udt.cli import options as opt
from udt.cli.options import option
from udt.cli.output import page_width, print_json, print_text
from udt.errors import SettingsError


def bench(
    model: opt.Model,
    file: opt.File,
    against: Annotated[
        Path | None,
        option(
            "--against",
            "Another model, to see when this one has repaid what its training cost more.",
            metavar="MODEL",
        ),
    ] = None,
    shared_by: Annotated[
        int, opt.whole("--shared-by", "Teams that share the model and its training.")
    ] = 1,
    threads: Annotated[
        int | None, opt.whole("--threads", "CPU threads; by default as in training.")
    ] = None,
    instance: opt.Instance = None,
    region: opt.Region = None,
    country: opt.Country = None,
    as_json: opt.AsJson = False,
) -> None:
    """Measure predictions.

    Rows a second, latency of one row, model size; energy and CO2e of a million predictions, and
    after how many of them training is the smaller part.

    Example: udt bench reviews.udt new.csv
    """
    for flag, value in (("--shared-by", shared_by), ("--threads", threads)):
        if value is not None and value < 1:
            raise SettingsError(f"Got {flag} {value}. Expected a whole number of 1 or more.")

    from udt.bench import bench as measure

    found = measure(
        model,
        file,
        against=against,
        instance=instance,
        region=region,
        country=country,
        n_threads=threads,
        shared_by=shared_by,
    )
    if as_json:
        print_json(found)
    else:
        from udt.costs_text import bench_text

        print_text(bench_text(found, page_width()))
