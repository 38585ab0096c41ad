"""``udt inspect``: what a table looks like, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from udt.cli import options as opt
from udt.cli.options import option
from udt.cli.output import page_width, print_json, print_text
from udt.errors import SettingsError


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
    model: Annotated[
        Path | None,
        option("--model", "Model whose doubts about the labels to list.", metavar="MODEL"),
    ] = None,
    as_json: opt.AsJson = False,
) -> None:
    """Show what kind each column is, and why.

    With a model, also which labels it disputes. Writes nothing.

    Example: udt inspect reviews.csv --target label
    """
    kinds = opt.column_kinds(text, categorical, numeric, date, multi, ignore)

    from udt.inspection import inspect as inspect_table
    from udt.report import schema_text

    judge, data = None, file
    if model is not None:
        judge, data = _judge(model, target), _read(file, bad_rows.value)
        target = judge.target
    found = inspect_table(
        data,
        target,
        **kinds,
        multi_label=opt.parse_multi_label(multi_label),
        bad_rows=bad_rows.value,
    )
    if judge is not None:
        from udt.suspects import find_suspects

        found["facts"]["suspects"] = find_suspects(judge, data, path=file)
    if as_json:
        print_json(found)
    else:
        print_text(schema_text(found["schema"], found["facts"], page_width()))


def _judge(path: Path, target: str | None) -> Any:
    """Return a saved model that predicts this target."""
    from udt.model import load_model

    model = load_model(path)
    if target not in (None, model.target):
        raise SettingsError(
            f"--target {target} is not what {path} predicts. Expected '{model.target}'; leave "
            "the flag out."
        )
    return model


def _read(file: str, bad_rows: str) -> Any:
    """Return the table, which is looked at twice."""
    from udt.table import read_table

    return read_table(file, bad_rows="skip" if bad_rows == "skip" else "refuse")
