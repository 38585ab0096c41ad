"""``udt inspect``: what a table looks like, before anything is trained."""

from __future__ import annotations

from typing import Annotated

from udt.cli import options as opt
from udt.cli.options import option
from udt.cli.output import page_width, print_json, print_text


def inspect(
    file: opt.File,
    target: Annotated[
        str | None, option("--target", "Column to predict; counts its classes.", metavar="COL")
    ] = None,
    text: opt.Text = None,
    categorical: opt.Categorical = None,
    numeric: opt.Numeric = None,
    date: opt.Date = None,
    multi: opt.Multi = None,
    ignore: opt.Ignore = None,
    multi_label: opt.MultiLabel = None,
    bad_rows: opt.OnBadRows = opt.BadRows.refuse,
    as_json: opt.AsJson = False,
) -> None:
    """Show what kind each column is, and why.

    Trains nothing and writes nothing.

    Example: udt inspect reviews.csv --target label
    """
    kinds = opt.column_kinds(text, categorical, numeric, date, multi, ignore)

    from udt.inspection import inspect as inspect_table
    from udt.report import schema_text

    found = inspect_table(
        file,
        target,
        **kinds,
        multi_label=opt.parse_multi_label(multi_label),
        bad_rows=bad_rows.value,
    )
    if as_json:
        print_json(found)
    else:
        print_text(schema_text(found["schema"], found["facts"], page_width()))
