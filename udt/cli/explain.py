"""``udt explain``: which words and columns of a row speak for its prediction."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from udt.cli import options as opt
from udt.cli.options import option
from udt.cli.output import check_output, open_output, page_width, print_json, print_text
from udt.errors import DataError, SettingsError

if TYPE_CHECKING:
    from udt.table import Table


def explain(
    model: opt.Model,
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", show_default=False, help="Text to explain, or --row."),
    ] = None,
    row: Annotated[
        str | None,
        option("--row", "Row of a table to explain; the first is 1.", metavar="FILE:N"),
    ] = None,
    label: Annotated[
        str | None,
        option("--label", "Class to explain, in place of the most probable ones.", metavar="NAME"),
    ] = None,
    html: Annotated[
        Path | None, option("--html", "Page to write, in place of stdout.", metavar="FILE")
    ] = None,
    as_json: opt.AsJson = False,
    force: opt.Force = False,
) -> None:
    """Show why a row gets its prediction.

    Words and columns add up to the log-odds of each class; words are highlighted in a terminal.

    Example: udt explain reviews.udt "great value, broke after a week"
    """
    if (text is None) == (row is None):
        got = "neither" if text is None else "both"
        raise SettingsError(f"Got {got}. Expected a text or --row FILE:N to explain; give one.")
    if html is not None:
        check_output(html, force=force, inputs=[str(model), row and row.rpartition(":")[0]])

    from udt.model import load_model

    loaded = load_model(model)
    found = loaded.explain(text if row is None else _read_row(row), label)
    if html is not None:
        with open_output(html) as sink:
            sink.write(_document(found.to_html()).encode("utf-8", "backslashreplace"))
    if as_json:
        print_json(found.to_dict())
    elif html is None:
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print_text(found.to_text(page_width(), color=color))


def _read_row(place: str) -> Table:
    """Return the row that ``FILE:N`` names.

    Raises
    ------
    SettingsError
        It names none.
    DataError
        The table has fewer rows.
    """
    from udt.table import read_table

    file, _, number = place.rpartition(":")
    if not file or not (number.isascii() and number.isdecimal()) or int(number) < 1:
        raise SettingsError(
            f"--row {place!r} is not understood. Expected FILE:N, a table and the number of one "
            "of its rows, of which the first is 1, e.g. --row new.csv:1."
        )
    table = read_table(file)
    n = int(number)
    if n > table.n_rows:
        raise DataError(
            f"{file} has {table.n_rows:,} rows. Expected the number of one of them in --row; got "
            f"{n:,}."
        )
    return table.slice(n - 1, n)


def _document(body: str) -> str:
    """Return a page around a piece of HTML, light or dark as the reader's system is."""
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        "<meta name='color-scheme' content='light dark'><title>udt explain</title>"
        f"<body style='margin:1.2rem'>{body}</body></html>\n"
    )
