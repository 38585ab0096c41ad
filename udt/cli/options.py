"""Flags that several commands share, and where their values come from.

A flag's value is the command line's, else that of the environment variable ``UDT_`` + its name,
else that of the file given by ``--config``, else it is decided from the data.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from udt.errors import SettingsError, did_you_mean


class Selector(StrEnum):
    """How the hidden neurons to compute are chosen."""

    dense = "dense"
    votes = "votes"
    lsh = "lsh"
    router = "router"
    random = "random"


class Preset(StrEnum):
    """How much the race tries."""

    fast = "fast"
    balanced = "balanced"
    best = "best"


class Metric(StrEnum):
    """What the race chooses by."""

    accuracy = "accuracy"
    macro_f1 = "macro_f1"
    log_loss = "log_loss"


class ClassWeight(StrEnum):
    """What the rows of a class count."""

    balanced = "balanced"


class BadRows(StrEnum):
    """What to do with a malformed row."""

    refuse = "refuse"
    skip = "skip"


def option(flags: str, text: str, **more: Any) -> Any:
    """Return a typer option that reads ``UDT_NAME`` too; `flags` as in ``"--output -o"``."""
    names = flags.split()
    variable = "UDT_" + names[0].removeprefix("--").replace("-", "_").upper()
    return typer.Option(*names, help=text, envvar=variable, show_envvar=False, **more)


def whole(flags: str, text: str) -> Any:
    """Return an option whose value is an integer."""
    return option(flags, text, metavar="N", parser=_whole_number)


def _whole_number(text: str) -> int:
    """Return an integer; typer's own conversion does not say what it was given."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a whole number") from None


File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        show_default=False,
        help="CSV, TSV, JSON, JSONL, Parquet or Arrow, also .gz or .zst; a glob, a folder of "
        "Parquet, hf:owner/name, or - for stdin.",
    ),
]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL", show_default=False, help="File made by udt train.")
]
AsJson = Annotated[bool, option("--json", "Print JSON.")]
Force = Annotated[bool, option("--force", "Replace the output file if it exists.")]

_Columns = list[str] | None
Text = Annotated[_Columns, option("--text", "Column to read as text (repeatable).", metavar="COL")]
Categorical = Annotated[
    _Columns, option("--categorical", "Column to read as categories (repeatable).", metavar="COL")
]
Numeric = Annotated[
    _Columns, option("--numeric", "Column to read as numbers (repeatable).", metavar="COL")
]
Date = Annotated[
    _Columns, option("--date", "Column to read as dates or times (repeatable).", metavar="COL")
]
Multi = Annotated[
    _Columns,
    option(
        "--multi",
        "Column with several values in a cell, and what separates them, e.g. 'tags:|' "
        "(repeatable).",
        metavar="COL:SEP",
    ),
]
Ignore = Annotated[_Columns, option("--ignore", "Column to leave out (repeatable).", metavar="COL")]
MultiLabel = Annotated[
    str | None,
    option(
        "--multi-label",
        "What separates the labels of a row that may have several; none = one label a row.",
        metavar="SEP",
    ),
]
OnBadRows = Annotated[
    BadRows, option("--bad-rows", "Refuse a file with malformed rows, or skip them and say so.")
]
Instance = Annotated[
    str | None,
    option("--instance", "EC2 type to charge the run as, e.g. r6g.xlarge.", metavar="TYPE"),
]
Region = Annotated[
    str | None, option("--region", "AWS region for the grid, e.g. us-west-1.", metavar="NAME")
]
Country = Annotated[
    str | None, option("--country", "Country for the grid, e.g. DEU.", metavar="CODE")
]


def column_kinds(
    text: _Columns,
    categorical: _Columns,
    numeric: _Columns,
    date: _Columns,
    multi: _Columns,
    ignore: _Columns,
) -> dict[str, Any]:
    """Return what the user says of the columns, under the names of UDT's parameters."""
    return {
        "text": text or None,
        "categorical": categorical or None,
        "numeric": numeric or None,
        "date": date or None,
        "multi": parse_multi(multi),
        "ignore": ignore or None,
    }


def parse_multi_label(text: str | None) -> str | bool | None:
    """Return UDT's parameter from the flag's value: ``none`` refuses several labels.

    Examples
    --------
    >>> parse_multi_label(";"), parse_multi_label("none"), parse_multi_label(None)
    (';', False, None)
    """
    return False if text == "none" else text


def parse_probability(text: str) -> float:
    """Return a number; whether it is a probability is checked where it is used."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number") from None


def parse_sparsity(text: str) -> float | str:
    """Return a number if it is one; what it may be is checked where its meaning is known."""
    try:
        return float(text)
    except ValueError:
        return text


def parse_multi(items: list[str] | None) -> dict[str, str] | None:
    """Return column to separator from ``COL:SEP`` items; a last ``::`` means the colon itself.

    Raises
    ------
    SettingsError
        An item lacks its column or its separator.

    Examples
    --------
    >>> parse_multi(["tags:|", "a:b:;", "times::"])
    {'tags': '|', 'a:b': ';', 'times': ':'}
    """
    found = {}
    for item in items or []:
        column, _, separator = item.rpartition(":")
        if item.endswith("::"):
            column, separator = item[:-2], ":"
        if not column or not separator:
            raise SettingsError(
                f"--multi {item!r} is not understood. Expected COL:SEP, the column and what "
                "separates its values, e.g. --multi 'tags:|'."
            )
        found[column] = separator
    return found or None


def read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Take the command's defaults from a TOML file whose keys are the names of its flags.

    Raises
    ------
    SettingsError
        The file cannot be read, or has a key that is no flag.
    """
    if path is None or ctx.resilient_parsing:
        return path
    params = {
        flag.removeprefix("--"): param
        for param in ctx.command.params
        for flag in param.opts
        if flag.startswith("--") and flag != "--config"
    }
    defaults: dict[str, Any] = {}
    for key, value in _read_toml(path).items():
        flag = key.replace("_", "-")
        if flag not in params:
            raise SettingsError(
                f"{path} sets {key!r}, which is no flag of '{ctx.command_path}'. Expected keys: "
                f"{', '.join(params)}.{did_you_mean(flag, params)}"
            )
        param = params[flag]
        if getattr(param, "multiple", False):
            value = [str(v) for v in value] if isinstance(value, list) else [str(value)]
        elif not (isinstance(value, bool) and getattr(param, "is_flag", False)):
            value = str(value)  # checked as if it were typed: a width of 3.7 is refused, not cut
        defaults[str(param.name)] = value
    ctx.default_map = {**defaults, **(ctx.default_map or {})}
    return path


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SettingsError(
            f"--config {path} cannot be read: {error.strerror}. Expected a TOML file; check "
            "the path."
        ) from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise SettingsError(
            f'--config {path} is not TOML: {error}. Expected lines such as: time-limit = "5m"'
        ) from error
